// The last translations of this browser: their ids and titles here, everything else at the server.

import { Refused, translation } from "./api.js";
import { load, save } from "./storage.js";
import { STATUS, languages, when } from "./words.js";

const KEY = "tandem.translations";
const MOST = 20;
const TITLE = 80;
const section = document.getElementById("last");
const list = document.getElementById("last-list");

function read() {
  const kept = load(KEY, []);
  return Array.isArray(kept) ? kept.filter((entry) => typeof entry?.id === "string" && typeof entry.title === "string") : [];
}

function write(entries) {
  save(KEY, entries.slice(0, MOST));
}

export function add(id, title) {
  write([{ id, title: shortened(title) }, ...read().filter((entry) => entry.id !== id)]);
  draw();
}

function shortened(title) {
  const words = [...title.trim().replace(/\s+/g, " ")];
  return words.length > TITLE ? `${words.slice(0, TITLE - 1).join("").trimEnd()}…` : words.join("");
}

// Shows the list, then what the server knows of each; what it has forgotten drops out.
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
