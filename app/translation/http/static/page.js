// The page: submits a translation, follows it, and shows its result.

import * as api from "./api.js";
import { follow } from "./events.js";
import * as glossary from "./glossary.js";
import * as history from "./history.js";
import * as models from "./models.js";
import * as progress from "./progress.js";
import * as result from "./result.js";
import * as source from "./source.js";
import { load, save } from "./storage.js";
import { NoToken } from "./token.js";
import { ENDED } from "./words.js";

const CHOICES = "tandem.languages";
const ID = /^#([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const byId = (id) => document.getElementById(id);
const [from, to, model, send, cancel] = ["source", "target", "model", "send", "cancel"].map(byId);
let following = new AbortController(); // aborts following the previous translation, so that it no longer writes
let id = null;

async function submit() {
  hideProblem();
  const { file, fields } = source.input();
  const terms = glossary.read();
  if (from.value === to.value) throw new source.InvalidInput("From and To are the same language. Choose two different ones.");
  const options = { target: to.value, source: from.value, model: model.value };
  const given = Object.entries(options).filter(([, value]) => value);
  if (Object.keys(terms).length) given.push(["glossary", terms]);
  send.disabled = true;
  try {
    const created = await api.create({ ...fields, ...Object.fromEntries(given) }, file);
    remember();
    history.add(created.id, source.title());
    window.history.pushState(null, "", `#${created.id}`);
    watch(created);
  } finally {
    send.disabled = false;
  }
}

// Shows a translation and follows it until it has ended.
async function watch(translation) {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  id = translation.id;
  byId("fresh").hidden = false;
  result.clear();
  progress.clear();
  progress.describe(translation);
  history.describe(translation);
  progress.show(translation);
  byId("going").scrollIntoView({ block: "nearest" });
  try {
    let last = translation;
    if (!ENDED.includes(translation.status)) {
      const show = (state) => {
        if (signal.aborted) return;
        progress.show(state);
        history.describe({ ...translation, ...state });
      };
      await follow(id, { signal, show, away: progress.showOffline });
      last = await api.translation(id);
    }
    if (!signal.aborted) finish(last);
  } catch (error) {
    if (!signal.aborted) showLookupError(error);
  }
}

function finish(translation) {
  progress.showOffline(false);
  progress.describe(translation);
  history.describe(translation);
  // The result first: screen readers announce the status, and the result should exist by then.
  if (translation.status === "done") result.show(translation);
  progress.show(translation);
}

function showLookupError(error) {
  progress.clear("This translation cannot be shown.");
  showError(error);
}

// Opens the translation that the URL names: after a reload, from the list or from a link.
async function open() {
  const wanted = ID.exec(location.hash)?.[1] ?? null;
  if (wanted === id) return;
  following.abort();
  id = wanted;
  hideProblem();
  result.clear();
  progress.clear();
  byId("fresh").hidden = !wanted;
  if (!wanted) return source.clear();
  progress.say("Loading the translation…");
  try {
    const [translation, text] = await Promise.all([api.translation(wanted), api.source(wanted)]);
    if (id !== wanted) return;
    await source.restore(text, translation);
    from.value = translation.source_detected ? "" : (translation.source ?? "");
    to.value = translation.target;
    watch(translation);
  } catch (error) {
    if (id === wanted) showLookupError(error);
  }
}

function showError(error) {
  if (error instanceof NoToken) return;
  const known = error instanceof api.Refused || error instanceof source.InvalidInput;
  const away = error instanceof api.Away ? `${error.message} Nothing is lost: try again in a moment.` : null;
  const box = byId("problem");
  box.textContent = known ? error.message : (away ?? `This page has failed: ${error.message}. Reload it.`);
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
}

function hideProblem() {
  byId("problem").hidden = true;
}

function remember() {
  save(CHOICES, { from: from.value, to: to.value });
}

function recall() {
  const has = (select, value) => [...select.options].some((option) => option.value === value);
  const chosen = load(CHOICES, {});
  if (has(from, chosen.from)) from.value = chosen.from;
  if (has(to, chosen.to)) to.value = chosen.to;
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit().catch(showError);
});

byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit(send);
});

byId("swap").addEventListener("click", () => {
  if (from.value) [from.value, to.value] = [to.value, from.value];
});

cancel.addEventListener("click", async () => {
  cancel.disabled = true;
  try {
    await api.cancel(id);
  } catch (error) {
    // 409: it has ended in the meantime, which the events report.
    if (error.status !== 409) showError(error);
  } finally {
    cancel.disabled = false;
  }
});

function begin() {
  models.refresh();
  history.refresh();
  open();
}

byId("unlock").addEventListener("click", () => {
  id = null;
  begin();
});

addEventListener("popstate", open);
addEventListener("hashchange", open);
source.start({ fail: showError, ok: hideProblem });
result.start({ fail: showError });
recall();
begin();
