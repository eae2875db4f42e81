// The last translations of this browser: ids and titles are stored here, everything else on the server.

import { Refused, translation } from "./api.js";
import { load, save } from "./storage.js";
import { STATUS, languages, when } from "./words.js";

const KEY = "tandem.translations";
const MAX_ENTRIES = 20;
const MAX_TITLE = 80;
const section = document.getElementById("last");
const list = document.getElementById("last-list");

function read() {
  const kept = load(KEY, []);
  return Array.isArray(kept) ? kept.filter((entry) => typeof entry?.id === "string" && typeof entry.title === "string") : [];
}

function write(entries) {
  save(KEY, entries.slice(0, MAX_ENTRIES));
}

export function add(id, title) {
  write([{ id, title: shortened(title) }, ...read().filter((entry) => entry.id !== id)]);
  draw();
}

function shortened(title) {
  const words = [...title.trim().replace(/\s+/g, " ")];
  return words.length > MAX_TITLE ? `${words.slice(0, MAX_TITLE - 1).join("").trimEnd()}…` : words.join("");
}

// Shows the list, then the state of each entry from the server; removes entries that the server no longer has.
export async function refresh() {
  draw();
  for (const { id } of read()) {
    try {
      describe(await translation(id));
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) return;
      write(read().filter((entry) => entry.id !== id));
      draw();
    }
  }
}

export function describe(found) {
  const about = list.querySelector(`[data-id="${CSS.escape(found.id)}"] .about`);
  if (about) about.textContent = `${languages(found)} · ${STATUS[found.status]} · ${when(found.created_at)}`;
}

function draw() {
  const known = new Map([...list.children].map((item) => [item.dataset.id, item]));
  const items = read().map(({ id, title }) => known.get(id) ?? entry(id, title));
  list.replaceChildren(...items);
  section.hidden = items.length === 0;
}

function entry(id, title) {
  const item = document.createElement("li");
  item.dataset.id = id;
  const link = document.createElement("a");
  link.href = `#${id}`;
  link.dir = "auto";
  link.textContent = title || "Untitled";
  const about = document.createElement("span");
  about.className = "about faint";
  item.append(link, about);
  return item;
}

document.getElementById("last-clear").addEventListener("click", () => {
  write([]);
  draw();
  document.getElementById("text").focus();
});
