"""Errors that end a request early."""


class ApiError(Exception):
    """An answer with a status other than 200, or an error line when the stream has begun.

    ``message`` becomes Ollama's body ``{"error": message}``. Clients decide by both whether to try again.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client closed its connection: the work for it ends, and nothing is written any more."""


class ConnectionCut(ClientGone):
    """Not the client but this server closed the connection, as a misbehaviour."""
