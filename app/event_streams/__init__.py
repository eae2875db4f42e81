"""Server-sent events that hold no thread of the web server.

A workload says with a Feed how its records are read and where their changes are told. Its view answers with `respond`;
after the first event the connection lies with the hub, one thread that holds those of all readers.
Format and reconnection: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from app.event_streams.feed import Event, Feed
from app.event_streams.responses import close, respond

__all__ = ["Event", "Feed", "close", "respond"]
