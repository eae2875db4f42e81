"""The server's routes."""

from collections.abc import Callable
from contextlib import closing

from .answers import Answer
from .catalogue import Catalogue
from .chat import Chat
from .errors import ApiError
from .exchange import TEXT, Exchange
from .measures import Measures
from .parsing import chat_request, model_name, parse_object, wants_stream
from .settings import Settings
from .translator import Translator

# The version of Ollama's API that this server follows; the part after the plus says that it is not Ollama.
VERSION = "0.33.0+apertium"


class Routes:
    """The server's addresses. ``serve`` answers one request with the method and path given."""

    def __init__(self, settings: Settings, translator: Translator) -> None:
        self._catalogue = Catalogue(settings)
        self._chat = Chat(settings, translator)
        self._paths: dict[str, dict[str, Callable[[Exchange], None]]] = {
            "/": {"GET": lambda exchange: exchange.send(200, b"Tandem's offline model is running", TEXT)},
            "/api/version": {"GET": lambda exchange: exchange.send_json(200, {"version": VERSION})},
            "/api/tags": {"GET": lambda exchange: exchange.send_json(200, self._catalogue.tags())},
            "/api/ps": {"GET": lambda exchange: exchange.send_json(200, self._catalogue.ps())},
            "/api/show": {"POST": self._show},
            "/api/pull": {"POST": self._pull},
            "/api/chat": {"POST": self._converse},
        }
        if settings.test_models:
            self._paths["/test/calls"] = {"GET": self._calls}

    def serve(self, method: str, path: str, exchange: Exchange) -> None:
        """Answer, also with errors.

        Raises ClientGone or OSError when the client cannot be reached any more.
        """
        try:
            self._find(method, path)(exchange)
        except ApiError as error:
            if not exchange.begun:
                exchange.send_json(error.status, {"error": error.message})
            else:
                # Too late for a status: like Ollama, send the error as a line.
                exchange.send_line({"error": error.message})
                exchange.end_lines()
            exchange.note = f"{exchange.note} {error.message}".strip()

    def _find(self, method: str, path: str) -> Callable[[Exchange], None]:
        methods = self._paths.get(path.partition("?")[0])
        if methods is None:
            return lambda exchange: exchange.send(404, b"404 page not found", TEXT)
        action = methods.get("GET" if method == "HEAD" else method)
        return action or (lambda exchange: exchange.send(405, b"405 method not allowed", TEXT))

    def _calls(self, exchange: Exchange) -> None:
        exchange.send_json(200, self._chat.tally.as_json())

    def _show(self, exchange: Exchange) -> None:
        request = parse_object(exchange.body)
        exchange.send_json(200, self._catalogue.show(model_name(request)))

    def _pull(self, exchange: Exchange) -> None:
        request = parse_object(exchange.body)
        lines = self._catalogue.pull(model_name(request))
        if not wants_stream(request):
            exchange.send_json(200, list(lines)[-1])
            return
        for line in lines:
            exchange.send_line(line)
        exchange.end_lines()

    def _converse(self, exchange: Exchange) -> None:
        measures = Measures()
        request = parse_object(exchange.body)
        model = model_name(request)
        exchange.note = model
        kind = self._catalogue.behaviour(model)
        chat = chat_request(request)
        self._catalogue.used(model, chat.num_ctx)
        answer = Answer(exchange, model, measures)
        steps = self._chat.answer(chat, kind, measures, exchange.gone)
        with self._chat.tally.watching(), closing(steps):
            if chat.stream and chat.messages:
                answer.stream(steps)
            else:
                answer.whole(steps)
