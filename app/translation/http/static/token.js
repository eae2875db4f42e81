// The token of a server that asks for one: kept for this tab, asked for in a dialog.

const KEY = "tandem.token";
const dialog = document.getElementById("token-dialog");
const input = document.getElementById("token");
const wrong = document.getElementById("token-wrong");
const locked = document.getElementById("locked");
let asking = null; // the promise of the open dialog: several requests wait for one answer

export class NoToken extends Error {}

export function current() {
  return sessionStorage.getItem(KEY) ?? "";
}

// Resolves when there is another token than the one that was refused. Raises NoToken when the dialog is closed.
export function another(refused) {
  if (current() && current() !== refused) return Promise.resolve();
  asking ??= ask(refused).finally(() => (asking = null));
  return asking;
}

function ask(refused) {
  sessionStorage.removeItem(KEY);
  wrong.textContent = refused ? "That was not the right token. Check it and try again." : "";
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
        reject(new NoToken("Nothing can be translated without the token."));
      },
      { once: true },
    );
  });
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = input.value.trim();
  // fetch refuses to send anything else in a header.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    wrong.textContent = "A token has visible ASCII characters only, and no spaces.";
    return;
  }
  sessionStorage.setItem(KEY, token);
  dialog.close();
});

document.getElementById("token-close").addEventListener("click", () => dialog.close());
