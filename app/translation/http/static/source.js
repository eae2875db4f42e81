// What is to be translated: a text that is typed or pasted, or a file that is chosen or dropped.

import { amount, characters, counted } from "./words.js";

const FORMATS = { txt: "text", md: "markdown", markdown: "markdown", srt: "srt", json: "json" };
const text = document.getElementById("text");
const limit = Number(text.dataset.limit);
const input = document.getElementById("file");
const shown = document.getElementById("file-shown");
const count = document.getElementById("count");
const format = document.getElementById("format");
const area = document.getElementById("drop");
// From this length on a browser's own way to paste takes seconds, and minutes for a book of many lines.
const LONG_PASTE = 50_000;
let file = null;
let counting = false;

// What the user can mend.
export class NotUsable extends Error {}

export function start({ fail, ok }) {
  const take = async (chosen) => {
    try {
      await choose(chosen);
      ok();
    } catch (error) {
      fail(error);
    }
  };
  text.addEventListener("input", countSoon);
  text.addEventListener("paste", pasteLong);
  input.addEventListener("change", async () => {
    await take([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  document.getElementById("file-remove").addEventListener("click", () => {
    clear();
    text.focus();
  });
  acceptDrops(take);
}

// The field `text`, or the file; raises NotUsable.
export function asked() {
  const length = characters(text.value);
  if (!text.value.trim()) throw new NotUsable("There is nothing to translate yet. Type or paste a text, or choose a file.");
  if (length > limit) {
    throw new NotUsable(
      `The text has ${counted(length, "character")}, and at most ${amount(limit)} are allowed. Shorten it, or translate it in pieces.`,
    );
  }
  return { file, fields: { ...(file ? {} : { text: text.value }), format: format.value } };
}

export function title() {
  return file?.name ?? text.value.slice(0, 500);
}

export function clear() {
  put(null, "", "text");
}

// Shows the source of a translation that is looked at again.
export async function restore(blob, translation) {
  const again = translation.file_name ? new File([blob], translation.file_name) : null;
  put(again, await blob.text(), translation.format);
}

async function choose(files) {
  if (files.length > 1) throw new NotUsable("Only one file can be translated at a time. Choose one of them.");
  const [chosen] = files;
  if (!chosen) return;
  const kind = FORMATS[chosen.name.toLowerCase().split(".").pop()];
  if (!kind) throw new NotUsable(`${chosen.name} is of an unknown kind. Choose a .txt, .md, .srt or .json file.`);
  // A character has four bytes at most.
  if (chosen.size > 4 * limit) {
    throw new NotUsable(`${chosen.name} is too large: at most ${counted(limit, "character")} are allowed.`);
  }
  put(chosen, await chosen.text(), kind);
}

function put(chosen, value, kind) {
  file = chosen;
  text.value = value;
  text.readOnly = Boolean(chosen);
  text.scrollTop = 0;
  shown.hidden = !chosen;
  document.getElementById("file-name").textContent = chosen?.name ?? "";
  format.value = kind;
  countNow();
}

function pasteLong(event) {
  const pasted = event.clipboardData.getData("text/plain");
  if (pasted.length < LONG_PASTE || text.readOnly) return;
  event.preventDefault();
  text.setRangeText(pasted, text.selectionStart, text.selectionEnd, "end");
  countSoon();
}

function countSoon() {
  if (counting) return;
  counting = true;
  requestAnimationFrame(countNow);
}

function countNow() {
  counting = false;
  const length = characters(text.value);
  const over = length > limit;
  count.textContent = over ? `${counted(length - limit, "character")} too many` : counted(length, "character");
  count.classList.toggle("wrong", over);
}

function acceptDrops(take) {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    area.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) area.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    area.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}
