// Keeps the parts of the page that are marked with data-live up to date: with each tick of the event stream, at most one a
// second, it gets the page again and takes over the parts that have changed. It stops while the tab is hidden. Without
// JavaScript everything can still be read and done.

const parts = document.querySelectorAll("[data-live]");
let stream = null;
let busy = false;

function isInUse(part) {
  return part.contains(document.activeElement) && document.activeElement !== document.body;
}

function takeOver(part, fresh) {
  if (!fresh || isInUse(part) || part.innerHTML === fresh.innerHTML) {
    return;
  }
  const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
  part.innerHTML = fresh.innerHTML;
  for (const id of open) {
    document.getElementById(id)?.setAttribute("open", "");
  }
}

async function refresh() {
  if (busy || document.hidden) {
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { "Tandem-Live": "1" } });
    if (answer.status === 401) {
      stop();
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) {
      takeOver(part, page.getElementById(part.id));
    }
    if (document.body.dataset.away !== undefined && answer.ok) {
      location.reload();
    }
  } catch {
    // The server is away: the next tick comes when it is back.
  } finally {
    busy = false;
  }
}

function start() {
  if (stream === null && !document.hidden) {
    stream = new EventSource("/ops/events");
    stream.addEventListener("tick", refresh);
  }
}

function stop() {
  stream?.close();
  stream = null;
}

function retryWhenAway() {
  // The event stream needs Redis as well, so this page asks by itself.
  if (document.body.dataset.away !== undefined) {
    setInterval(refresh, 3000);
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : (refresh(), start())));
if (parts.length > 0) {
  start();
}
retryWhenAway();
