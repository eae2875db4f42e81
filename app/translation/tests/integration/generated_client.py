"""Do every operation of the API with a client that was generated from /openapi.json; run by test_generated_client.py.

Usage: python generated_client.py URL    (with the generated package `client` on the path)
"""

from __future__ import annotations

import sys
from io import BytesIO
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from client import AuthenticatedClient
from client.api.health import get_health, get_readiness
from client.api.translations import (
    cancel_translation,
    create_translation,
    follow_translation,
    list_models,
    list_translations,
    read_result,
    read_source,
    read_translation,
)
from client.models import (
    CreateTranslationFilesBody,
    CreateTranslationFilesBodySource,
    CreateTranslationFilesBodyTarget,
    Problem,
    TranslationAnswer,
    TranslationRequest,
)
from client.types import File

DEADLINE_SECONDS = 60


def text(client: AuthenticatedClient) -> None:
    """Send a text, follow it to its end and read it."""
    body = TranslationRequest.from_dict({"text": "The house is beautiful.", "source": "en", "target": "es"})
    key = str(uuid4())
    asked = create_translation.sync(client=client, body=body, idempotency_key=key)
    again = create_translation.sync(client=client, body=body, idempotency_key=key)
    assert isinstance(asked, TranslationAnswer) and isinstance(again, TranslationAnswer)
    assert asked.id == again.id
    events = follow_translation.sync(id=asked.id, client=client)
    assert isinstance(events, str) and "event: end\n" in events, events
    read = read_translation.sync(id=asked.id, client=client)
    assert isinstance(read, TranslationAnswer) and read.translation == "La casa es bella.", read
    listed = list_translations.sync(client=client, limit=5)
    assert asked.id in {translation.id for translation in listed.translations}


def file(client: AuthenticatedClient) -> None:
    """Upload a file and download both texts."""
    sent = File(payload=BytesIO(b"# The house is beautiful.\n"), file_name="guide.md", mime_type="text/markdown")
    asked = create_translation.sync(
        client=client,
        body=CreateTranslationFilesBody(
            file=sent, target=CreateTranslationFilesBodyTarget("es"), source=CreateTranslationFilesBodySource("en")
        ),
    )
    assert isinstance(asked, TranslationAnswer), asked
    assert (asked.file_name, asked.format_) == ("guide.md", "markdown"), asked
    assert read_source.sync(id=asked.id, client=client) == "# The house is beautiful.\n"
    assert _result(client, asked.id) == "# La casa es bella.\n"


def _result(client: AuthenticatedClient, id_: UUID) -> Any:
    """Follow it to its end, then read the result."""
    end = monotonic() + DEADLINE_SECONDS
    while "event: end\n" not in str(follow_translation.sync(id=id_, client=client)):
        assert monotonic() < end
    return read_result.sync(id=id_, client=client)


def errors(client: AuthenticatedClient) -> None:
    """Get problem documents, and cancel."""
    unknown = read_translation.sync(id=uuid4(), client=client)
    assert isinstance(unknown, Problem) and unknown.status == 404
    body = TranslationRequest.from_dict({"text": "Good morning.", "source": "en", "target": "es"})
    asked = create_translation.sync(client=client, body=body)
    assert isinstance(asked, TranslationAnswer)
    cancelled = cancel_translation.sync(id=asked.id, client=client)
    # The worker may have been quicker.
    assert isinstance(cancelled, TranslationAnswer) or cancelled.status == 409, cancelled


def main() -> None:
    """Do all of it."""
    client = AuthenticatedClient(base_url=sys.argv[1], token="unused", timeout=DEADLINE_SECONDS)  # noqa: S106
    assert get_health.sync(client=client).status == "ok"
    assert get_readiness.sync(client=client).status in ("ok", "warn")
    assert "es" in list_models.sync(client=client).languages.additional_properties
    text(client)
    file(client)
    errors(client)
    print("all operations")


if __name__ == "__main__":
    main()
