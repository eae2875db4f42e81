// The progress of a translation: server-sent events over fetch, because EventSource cannot send a token.

import { Away, Refused, request, translation } from "./api.js";
import { ENDED } from "./words.js";

// The server sends a comment every 15 seconds: if three of them are missing, the connection is lost.
const MAX_SILENCE_MS = 45_000;
const MIN_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 15_000;

// Creates a parser of https://html.spec.whatwg.org/multipage/server-sent-events.html: it takes pieces of the stream and
// returns complete events.
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
// Rejects with Refused if a retry is useless, with NoToken, and with AbortError when `signal` is aborted.
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
      // The server closed the connection properly, as it does before a restart; this counts only if the next one fails.
    } catch (error) {
      if (error instanceof Refused && error.retry && (await ended(id, show))) return away(false);
      if (!(error instanceof Away || (error instanceof Refused && error.retry))) throw error;
      away(true);
    }
    await pause(Math.min(MIN_BACKOFF_MS * 2 ** failures, MAX_BACKOFF_MS), signal);
    failures += 1;
  }
}

// If the server accepts no more event readers, each retry fetches the state instead.
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
      listening.reset();
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
  const reset = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), MAX_SILENCE_MS);
  };
  reset();
  return { reset, stop: () => clearTimeout(timer) };
}

// Waits up to a quarter longer, so that not all readers reconnect to a restarted server at the same moment; ends
// immediately when the browser is online again.
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
