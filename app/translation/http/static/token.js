// The token of a server that requires one: entered in a dialog and stored for this tab.

const KEY = "tandem.token";
const dialog = document.getElementById("token-dialog");
const input = document.getElementById("token");
const wrong = document.getElementById("token-wrong");
const locked = document.getElementById("locked");
let asking = null; // the promise of the open dialog, shared by all requests that wait for it

export class NoToken extends Error {}

export function current() {
  return sessionStorage.getItem(KEY) ?? "";
}

// Resolves when a token other than the refused one is set. Rejects with NoToken when the dialog is closed.
export function another(refused) {
  if (current() && current() !== refused) return Promise.resolve();
  asking ??= ask(refused).finally(() => (asking = null));
  return asking;
}

function ask(refused) {
  sessionStorage.removeItem(KEY);
  wrong.textContent = refused ? "The token is not valid. Check it and try again." : "";
  input.value = "";
  locked.hidden = true;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        if (current()) return resolve();
        locked.hidden = false;
        reject(new NoToken("The server requires a token."));
      },
      { once: true },
    );
  });
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = input.value.trim();
  // fetch accepts no other characters in a header.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    wrong.textContent = "A token consists of visible ASCII characters without spaces.";
    return;
  }
  sessionStorage.setItem(KEY, token);
  dialog.close();
});

document.getElementById("token-close").addEventListener("click", () => dialog.close());
