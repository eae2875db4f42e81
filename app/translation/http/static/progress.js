// The progress of the translation that is shown.

import { amount, counted, languageName, sentence } from "./words.js";

const state = document.getElementById("state");
const going = document.getElementById("going");
const bar = document.getElementById("progress");
const parts = document.getElementById("parts");
const away = document.getElementById("away");
const stage = document.getElementById("stage");
const about = document.getElementById("about");

export function say(text) {
  // A screen reader announces every change, even to the same words.
  if (state.textContent !== text) state.textContent = text;
}

export function clear(text = "The translation appears here.") {
  say(text);
  stage.classList.remove("wrong");
  stage.hidden = false;
  going.hidden = true;
  about.textContent = "";
  showOffline(false);
  document.title = "Translate – Tandem";
}

export function showOffline(isOffline) {
  away.hidden = !isOffline;
  away.textContent = isOffline ? "The connection is lost. The translation continues; this page reconnects by itself." : "";
}

export function show({ status, progress, error }) {
  going.hidden = !["queued", "running"].includes(status);
  stage.hidden = status === "done";
  stage.classList.toggle("wrong", status === "failed");
  say(words(status, error));
  measure(status, progress);
  document.title = `${heading(status, progress)} – Tandem`;
}

// Shows the languages and the model.
export function describe({ source, source_detected: detected, target, model }) {
  const from = source ? ` from ${languageName(source)}${detected ? " (detected)" : ""}` : "";
  about.textContent = `${languageName(target)}${from}, by ${model}`;
}

function words(status, error) {
  if (status === "queued") return error ? `The last attempt failed and is being retried: ${sentence(error)}` : "Waiting for a worker…";
  if (status === "running") return "Translating…";
  if (status === "failed") return `It could not be translated. ${sentence(error)}`;
  return status === "cancelled" ? "Cancelled." : "Done.";
}

function measure(status, { done, total, characters }) {
  bar.max = total || 1;
  if (status === "running" && total) bar.value = done;
  else bar.removeAttribute("value");
  const written = characters ? `, ${counted(characters, "character")} of the next` : "";
  parts.textContent = total ? `${amount(done)} of ${counted(total, "part")}${written}` : "";
}

function heading(status, { done, total }) {
  if (status === "running" && total) return `${Math.floor((100 * done) / total)} %`;
  return { queued: "Waiting", running: "Translating", done: "Done", failed: "Failed", cancelled: "Cancelled" }[status];
}
