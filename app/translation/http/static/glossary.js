// The glossary as text: a term and its translation on each line.

import { InvalidInput } from "./source.js";

const input = document.getElementById("glossary");

// Returns {term: translation}. Opens the field and throws InvalidInput if a line is invalid.
export function read() {
  const terms = {};
  for (const [number, line] of input.value.split("\n").entries()) {
    if (!line.trim()) continue;
    const [, term, translation] = /^([^=\t]+)[=\t](.+)$/.exec(line) ?? [];
    if (!term?.trim() || !translation?.trim()) {
      input.closest("details").open = true;
      input.focus();
      throw new InvalidInput(`Line ${number + 1} of the glossary is not “term = translation”.`);
    }
    terms[term.trim()] = translation.trim();
  }
  return terms;
}
