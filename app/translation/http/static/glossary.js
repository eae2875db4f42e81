// The glossary as people write it: a term and its translation on each line.

import { NotUsable } from "./source.js";

const input = document.getElementById("glossary");

// {term: translation}; raises NotUsable and opens the field.
export function read() {
  const terms = {};
  for (const [number, line] of input.value.split("\n").entries()) {
    if (!line.trim()) continue;
    const [, term, translation] = /^([^=\t]+)[=\t](.+)$/.exec(line) ?? [];
    if (!term?.trim() || !translation?.trim()) {
      input.closest("details").open = true;
      input.focus();
      throw new NotUsable(`Line ${number + 1} of the glossary is not “term = translation”.`);
    }
    terms[term.trim()] = translation.trim();
  }
  return terms;
}
