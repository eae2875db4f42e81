// The available models, and the progress of a pull.

import * as api from "./api.js";

const PULL_POLL_MS = 2_000;
const OFFLINE_POLL_MS = 10_000;
const select = document.getElementById("model");
const note = document.getElementById("pull");
let timer;

// Polls while a model is being pulled or the server is unreachable.
export async function refresh() {
  clearTimeout(timer);
  try {
    const { models, pull } = await api.models();
    offer(models);
    showPull(models, pull);
    if (pull) timer = setTimeout(refresh, PULL_POLL_MS);
  } catch (error) {
    if (error instanceof api.Away || error.retry) timer = setTimeout(refresh, OFFLINE_POLL_MS);
  }
}

function offer(models) {
  const chosen = select.value;
  const available = models.filter((model) => model.available);
  if (!available.length) return;
  const byDefault = available.find((model) => model.default) ?? available[0];
  select.replaceChildren(...available.map(({ name }) => new Option(name)));
  select.value = available.some(({ name }) => name === chosen) ? chosen : byDefault.name;
}

function showPull(models, pull) {
  if (pull) note.textContent = progress(pull);
  else if (!models.some((model) => model.available)) note.textContent = "No model is available yet. Translations wait until there is one.";
  else note.textContent = "";
  note.hidden = !note.textContent;
}

function progress({ model, completed, total }) {
  const share = total ? `: ${Math.floor((100 * completed) / total)} %` : "";
  return `The model ${model} is being downloaded${share}`;
}
