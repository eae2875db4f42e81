"""Normalize model names, to compare those in settings, in requests and in the server's list."""

from __future__ import annotations

# Ollama's default registry and namespace of a name.
_DEFAULT_HOST = "registry.ollama.ai/"
_DEFAULT_NAMESPACE = "library/"


def full_name(model: str) -> str:
    """Return the name by which Ollama compares models.

    Case is ignored, `library/x` is `x`, and `x` is `x:latest`.
    """
    name = model.lower().removeprefix(_DEFAULT_HOST).removeprefix(_DEFAULT_NAMESPACE)
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
