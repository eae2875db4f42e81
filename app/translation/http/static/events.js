// The progress of one translation: server-sent events over fetch, because EventSource cannot send a token.

import { Away, Refused, request, translation } from "./api.js";
import { ENDED } from "./words.js";

// The server sends a comment every 15 seconds: after three of them the connection is gone.
const LONGEST_SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

// A parser of https://html.spec.whatwg.org/multipage/server-sent-events.html: takes pieces, gives whole events.
export function parser() {
  let rest = "";
  let event = { id: "", name: "", data: [] };
  return (piece) => {
    // A CR at the end of a piece may be the first half of CRLF.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    const whole = [];
    for (const line of lines) {
      if (line) {
        take(event, line);
      } else {
        if (event.data.length) whole.push({ ...event, name: event.name || "message", data: event.data.join("\n") });
        event = { id: event.id, name: "", data: [] };
      }
    }
    return whole;
  };
}

function take(event, line) {
  const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
  if (field === "data") event.data.push(value);
  else if (field === "event") event.name = value;
  else if (field === "id" && !value.includes("\0")) event.id = value;
}

// Calls `show` with every state until the end, and `away` with whether the connection is lost.
// Raises Refused where trying again is of no use, NoToken, and AbortError when `signal` said so.
export async function follow(id, { show, away, signal }) {
  let seen = "";
  let failures = 0;
  for (;;) {
    try {
      for await (const event of stream(id, seen, signal)) {
        failures = 0;
        away(false);
        seen = event.id || seen;
        if (event.data) show(JSON.parse(event.data));
        if (event.name === "end") return;
      }
      // It was closed in good order, as a server does that restarts; it counts when the next one fails as well.
    } catch (error) {
      if (error instanceof Refused && error.retry && (await ended(id, show))) return away(false);
      if (!(error instanceof Away || (error instanceof Refused && error.retry))) throw error;
      away(true);
    }
    await pause(Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS), signal);
    failures += 1;
  }
}

// Without a place among the readers of events, a look at each try shows how far it is.
async function ended(id, show) {
  const state = await translation(id).catch(() => null);
  if (state) show(state);
  return ENDED.includes(state?.status);
}

async function* stream(id, seen, signal) {
  const silence = new AbortController();
  const listening = watch(silence);
  try {
    const headers = { Accept: "text/event-stream", ...(seen && { "Last-Event-ID": seen }) };
    const response = await request(`/translations/${id}/events`, {
      headers,
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.status === 204) return yield { name: "end" };
    const parse = parser();
    const text = response.body.pipeThrough(new TextDecoderStream());
    for await (const piece of pieces(text)) {
      listening.heard();
      yield* parse(piece);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    if (error.name === "AbortError" || error instanceof TypeError) throw new Away("The connection broke off.");
    throw error;
  } finally {
    listening.stop();
    silence.abort();
  }
}

// Not every browser can iterate over a stream.
async function* pieces(text) {
  const reader = text.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function watch(silence) {
  let timer;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), LONGEST_SILENCE_MS);
  };
  heard();
  return { heard, stop: () => clearTimeout(timer) };
}

// Up to a quarter longer, so that the readers of a server that restarts do not come back in one moment; at once when
// the browser is online again.
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal.removeEventListener("abort", over);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(over, ms * (1 + Math.random() / 4));
    addEventListener("online", over);
    signal.addEventListener("abort", over);
  });
}
