// Requests to the API, with the token, and with errors as sentences.

import * as token from "./token.js";
import { counted, sentence } from "./words.js";

// Long enough for a text of a million characters on a slow connection.
const MAX_MS = 60_000;

// The server cannot be reached.
export class Away extends Error {}

// The server refused; `retry` says whether the same request can succeed later.
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
    this.retry = status === 429 || status >= 500;
  }
}

// Returns a successful response. Rejects with Away, Refused or NoToken, and with AbortError when `signal` is aborted.
export async function request(path, { headers = {}, ...options } = {}) {
  for (;;) {
    const used = token.current();
    const bearer = used ? { Authorization: `Bearer ${used}` } : {};
    const response = await reach(path, { ...options, cache: "no-store", headers: { ...headers, ...bearer } });
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    await token.another(used);
  }
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted && error.name === "AbortError") throw error;
    throw new Away("The server does not answer.");
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const pause = Number(response.headers.get("Retry-After"));
  const again = pause > 0 ? ` Try again in ${counted(pause, "second")}.` : "";
  return new Refused(response.status, sentence(body.detail ?? `the server answered ${response.status}`) + again);
}

async function whole(path, read, options) {
  const response = await request(path, { signal: AbortSignal.timeout(MAX_MS), ...options });
  try {
    return await read(response);
  } catch {
    throw new Away("The server's answer broke off.");
  }
}

const json = (response) => response.json();

export const models = () => whole("/models", json);
export const translation = (id) => whole(`/translations/${id}`, json);
export const cancel = (id) => whole(`/translations/${id}`, json, { method: "DELETE" });
export const source = (id) => whole(`/translations/${id}/source`, (response) => response.blob());

// The translated file and its name.
export const result = (id) =>
  whole(`/translations/${id}/result`, async (response) => ({
    name: fileName(response.headers.get("Content-Disposition") ?? ""),
    blob: await response.blob(),
  }));

export function create(fields, file) {
  if (!file) {
    const headers = { "Content-Type": "application/json" };
    return whole("/translations", json, { method: "POST", headers, body: JSON.stringify(fields) });
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    form.append(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  form.append("file", file, file.name);
  return whole("/translations", json, { method: "POST", body: form });
}

// RFC 6266: filename* can have characters outside ASCII.
function fileName(disposition) {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition);
  if (extended) return decodeURIComponent(extended[1]);
  return /filename="?([^";]+)"?/i.exec(disposition)?.[1] ?? "translation.txt";
}
