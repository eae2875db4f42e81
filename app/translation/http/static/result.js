// The translated text, what is wrong with parts of it, and the ways to take it along.

import * as api from "./api.js";
import { PROBLEMS, counted, sentence } from "./words.js";

// A browser lays out only those blocks that are seen, so that a book does not freeze the page.
const BLOCK = 4_000;
const FIRST_PROBLEMS = 20;
const SAID_MS = 2_000;
const box = document.getElementById("result");
const actions = document.getElementById("actions");
const problems = document.getElementById("problems");
const list = document.getElementById("problems-list");
const more = document.getElementById("problems-more");
let shown = null;

export function clear() {
  shown = null;
  box.hidden = actions.hidden = problems.hidden = true;
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
}

// Cuts behind a line break, which the end of the block stands for: the blank lines that follow open the next one.
export function blocks(text) {
  const cut = [];
  let from = 0;
  while (from < text.length) {
    const end = text.indexOf("\n", from + BLOCK);
    cut.push(text.slice(from, end < 0 ? undefined : end));
    from = end < 0 ? text.length : end + 1;
  }
  return cut;
}

function block(text) {
  const element = document.createElement("div");
  element.dir = "auto";
  element.textContent = text;
  return element;
}

function showProblems(all) {
  problems.hidden = all.length === 0;
  const said = all.length === 1 ? "needs" : "need";
  document.getElementById("problems-title").textContent = `${counted(all.length, "part")} ${said} a look`;
  list.replaceChildren(...all.slice(0, FIRST_PROBLEMS).map(problem));
  more.hidden = all.length <= FIRST_PROBLEMS;
  more.textContent = `Show all ${counted(all.length, "part")}`;
}

function problem({ part, kind, detail, kept, source }) {
  const item = document.createElement("li");
  const instead = kept === "source" ? "The original text stands there." : "The model’s answer stands there.";
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
  // Without TLS browsers have no clipboard, but a selection can still be copied.
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

// The button says for a moment that it was done.
function does(id, action, word, fail) {
  const button = document.getElementById(id);
  const usual = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await action();
      button.textContent = word;
      setTimeout(() => (button.textContent = usual), SAID_MS);
    } catch (error) {
      fail(error);
    }
  });
}

export function start({ fail }) {
  does("copy", copy, "Copied", fail);
  does("download", download, "Downloaded", fail);
  more.addEventListener("click", () => {
    list.append(...shown.problems.slice(FIRST_PROBLEMS).map(problem));
    more.hidden = true;
    list.children[FIRST_PROBLEMS].scrollIntoView({ block: "nearest" });
  });
}
