// The source: a text that is typed or pasted, or a file that is chosen or dropped.

import { amount, characters, counted } from "./words.js";

const FORMATS = {
  txt: "text",
  md: "markdown",
  markdown: "markdown",
  srt: "srt",
  vtt: "vtt",
  json: "json",
  po: "po",
  pot: "po",
  properties: "properties",
  strings: "strings",
};
const text = document.getElementById("text");
const limit = Number(text.dataset.limit);
const fileInput = document.getElementById("file");
const shown = document.getElementById("file-shown");
const count = document.getElementById("count");
const format = document.getElementById("format");
const area = document.getElementById("drop");
// From this length on, the browser's own paste takes seconds, and minutes for a book of many lines.
const LONG_PASTE = 50_000;
let file = null;
let counting = false;

// An input that the user has to correct.
export class InvalidInput extends Error {}

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
  fileInput.addEventListener("change", async () => {
    await take([...fileInput.files]);
    fileInput.value = ""; // allow choosing the same file again
  });
  document.getElementById("file-remove").addEventListener("click", () => {
    clear();
    text.focus();
  });
  acceptDrops(take);
}

// Returns the file, or the field `text`, and the format. Throws InvalidInput.
export function input() {
  const length = characters(text.value);
  if (!text.value.trim()) throw new InvalidInput("There is nothing to translate yet. Type or paste a text, or choose a file.");
  if (length > limit) {
    throw new InvalidInput(
      `The text has ${counted(length, "character")}, and at most ${amount(limit)} are allowed. Shorten it, or translate it in parts.`,
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

// Shows the source of an earlier translation.
export async function restore(blob, translation) {
  const again = translation.file_name ? new File([blob], translation.file_name) : null;
  put(again, await blob.text(), translation.format);
}

async function choose(files) {
  if (files.length > 1) throw new InvalidInput("Only one file can be translated at a time. Choose one of them.");
  const [chosen] = files;
  if (!chosen) return;
  const kind = FORMATS[chosen.name.toLowerCase().split(".").pop()];
  if (!kind) {
    const endings = Object.keys(FORMATS).join(", .");
    throw new InvalidInput(`${chosen.name} has an unknown format. Choose a file that ends in .${endings}.`);
  }
  // A character has at most four bytes.
  if (chosen.size > 4 * limit) {
    throw new InvalidInput(`${chosen.name} is too large: at most ${counted(limit, "character")} are allowed.`);
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
