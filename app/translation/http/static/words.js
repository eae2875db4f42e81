// The page's wording of numbers, times, languages and sentences.

const number = new Intl.NumberFormat("en");
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const ENDED = ["done", "failed", "cancelled"];

export const STATUS = {
  queued: "waiting",
  running: "running",
  done: "done",
  failed: "failed",
  cancelled: "cancelled",
};

export const PROBLEMS = {
  placeholders: "Placeholders or markup differ",
  empty: "The model returned no answer",
  echo: "The model returned the text untranslated",
  preamble: "The model added words of its own",
  length: "The answer is too short or too long",
  loop: "The model repeated itself",
  truncated: "The answer was cut off",
  unfinished: "The answer is incomplete",
  unicode: "The text has half of a character",
};

export const amount = (count) => number.format(count);

export function counted(count, one, many = `${one}s`) {
  return `${number.format(count)} ${count === 1 ? one : many}`;
}

export function when(iso) {
  return moment.format(new Date(iso));
}

// The errors of the API are clauses: "text is blank: give …".
export function sentence(clause) {
  const text = String(clause ?? "").trim();
  return text && text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

// Characters as the server counts them: code points, not UTF-16 units.
export function characters(text) {
  let pairs = 0;
  for (let at = 0; at < text.length; at += 1) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xd800) pairs += 1;
  }
  return text.length - pairs;
}

export function languageName(code) {
  const option = document.querySelector(`#target option[value="${CSS.escape(code ?? "")}"]`);
  return option?.textContent ?? code;
}

// "English to Spanish", or "to Spanish" if the source is unknown.
export function languages({ source, target }) {
  return source ? `${languageName(source)} to ${languageName(target)}` : `to ${languageName(target)}`;
}
