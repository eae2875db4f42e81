"""Server-sent events that occupy no thread of the web server.

A workload defines a Topic: how its records are read and on which channel their changes are published. Its view returns
`respond`; after the first event the hub takes over the connection, one thread that serves all subscribers.
Format and reconnection: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from tandem.sse.responses import close, respond
from tandem.sse.topic import Event, Topic

__all__ = ["Event", "Topic", "close", "respond"]
