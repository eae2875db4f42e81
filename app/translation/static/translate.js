// Asks for a translation and looks at it until it has ended.

const POLL_MS = 300;
const form = document.getElementById("form");
const state = document.getElementById("state");
const progress = document.getElementById("progress");
const result = document.getElementById("result");
let current = null; // the translation that is shown; an older one no longer writes

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  result.hidden = true;
  const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
  const translation = await ask("/translations", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  });
  if (translation) {
    current = translation.id;
    await follow(translation);
  }
});

async function follow(translation) {
  while (current === translation.id) {
    show(translation);
    if (!["queued", "running"].includes(translation.status)) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    translation = await ask(`/translations/${translation.id}`);
    if (!translation) return;
  }
}

function show({ status, progress: { done, total }, translation, error }) {
  const words = { queued: "Waiting for a worker…", running: `Translating: ${done} of ${total} parts`, done: "Done" };
  say(words[status] ?? `Not translated: ${error}`, status === "failed");
  progress.hidden = status !== "running";
  progress.max = total || 1;
  progress.value = done;
  result.hidden = status !== "done";
  result.textContent = translation ?? "";
}

// The JSON of a good answer; otherwise says what is wrong and gives null.
async function ask(url, options) {
  try {
    const response = await fetch(url, options);
    const body = await response.json();
    if (response.ok) return body;
    say(body.detail, true);
  } catch {
    say("The server does not answer. Try again in a moment.", true);
  }
  progress.hidden = true;
  return null;
}

function say(text, wrong) {
  state.textContent = text;
  state.classList.toggle("wrong", wrong);
}
