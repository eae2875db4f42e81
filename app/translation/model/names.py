"""Names of models as Ollama compares them."""


def full_name(name: str) -> str:
    """The name as it is listed: case does not count, ``library/x`` is ``x``, and ``x`` is ``x:latest``."""
    short = name.lower().removeprefix("library/")
    return short if ":" in short.rsplit("/", 1)[-1] else f"{short}:latest"
