// The translated text, the problems of its parts, and the buttons to copy and download it.

import * as api from "./api.js";
import { PROBLEMS, counted, sentence } from "./words.js";

// The browser lays out only the visible blocks of the text, so that a book does not freeze the page.
const BLOCK = 4_000;
const MAX_PROBLEMS = 20;
const CONFIRMATION_MS = 2_000;
const box = document.getElementById("result");
const actions = document.getElementById("actions");
const problems = document.getElementById("problems");
const list = document.getElementById("problems-list");
const kept = document.getElementById("kept");
const more = document.getElementById("problems-more");
let shown = null;

export function clear() {
  shown = null;
  box.hidden = actions.hidden = problems.hidden = kept.hidden = true;
  box.replaceChildren();
  list.replaceChildren();
}

export function show(translation) {
  shown = translation;
  box.lang = translation.target;
  box.replaceChildren(...blocks(translation.translation).map(block));
  box.scrollTop = 0;
  box.hidden = actions.hidden = false;
  showProblems(translation.problems);
  showKept(translation.untranslated ?? []);
}

// Splits at line breaks, which the ends of the blocks replace; blank lines after a break begin the next block.
export function blocks(text) {
  const parts = [];
  let from = 0;
  while (from < text.length) {
    const end = text.indexOf("\n", from + BLOCK);
    parts.push(text.slice(from, end < 0 ? undefined : end));
    from = end < 0 ? text.length : end + 1;
  }
  return parts;
}

function block(text) {
  const element = document.createElement("div");
  element.dir = "auto";
  element.textContent = text;
  return element;
}

function showProblems(all) {
  problems.hidden = all.length === 0;
  const verb = all.length === 1 ? "needs" : "need";
  document.getElementById("problems-title").textContent = `${counted(all.length, "part")} ${verb} a review`;
  list.replaceChildren(...all.slice(0, MAX_PROBLEMS).map(problem));
  more.hidden = all.length <= MAX_PROBLEMS;
  more.textContent = `Show all ${counted(all.length, "part")}`;
}

// Lists what stays untranslated on purpose.
function showKept(all) {
  kept.hidden = all.length === 0;
  kept.textContent = `Not translated on purpose: ${all.map(({ why, parts }) => `${why} (${counted(parts, "part")})`).join(", ")}.`;
}

function problem({ part, kind, detail, kept, source }) {
  const item = document.createElement("li");
  const instead = kept === "source" ? "The result has the original text." : "The result has the model’s answer.";
  item.append(
    paragraph("what", `Part ${part}: ${PROBLEMS[kind] ?? kind}`),
    paragraph("faint", `${sentence(detail)} ${instead}`),
    paragraph("excerpt", source),
  );
  return item;
}

function paragraph(name, text) {
  const element = document.createElement("p");
  element.className = name;
  element.dir = "auto";
  element.textContent = text;
  return element;
}

async function copy() {
  if (navigator.clipboard) return navigator.clipboard.writeText(shown.translation);
  // Without TLS, browsers have no clipboard API, but a selection can still be copied.
  const area = document.createElement("textarea");
  area.value = shown.translation;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

async function download() {
  const { blob, name } = await api.result(shown.id);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Binds an action to a button, which briefly confirms that it is done.
function bind(id, action, word, fail) {
  const button = document.getElementById(id);
  const usual = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await action();
      button.textContent = word;
      setTimeout(() => (button.textContent = usual), CONFIRMATION_MS);
    } catch (error) {
      fail(error);
    }
  });
}

export function start({ fail }) {
  bind("copy", copy, "Copied", fail);
  bind("download", download, "Downloaded", fail);
  more.addEventListener("click", () => {
    list.append(...shown.problems.slice(MAX_PROBLEMS).map(problem));
    more.hidden = true;
    list.children[MAX_PROBLEMS].scrollIntoView({ block: "nearest" });
  });
}
