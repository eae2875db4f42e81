"""Encode texts for Redis: compressed if that makes them smaller.

Base64 keeps the value text, which every Redis client can decode; it is the fastest such encoding in the standard
library.
"""

from __future__ import annotations

import base64
import binascii
import zlib

# No JSON begins with this, and hardly any text; a text that does is always compressed.
_MARK = "\x00zlib:"
# Shorter texts do not become smaller.
_MIN_LENGTH = 100
# The fastest level: texts are packed while a client waits for the response.
_LEVEL = 1


def pack(text: str) -> str:
    """Encode a text for the store; `unpack` decodes it."""
    marked = text.startswith(_MARK)
    if len(text) < _MIN_LENGTH and not marked:
        return text
    plain = text.encode()
    packed = _MARK + base64.b64encode(zlib.compress(plain, _LEVEL)).decode()
    return packed if marked or len(packed) < len(plain) else text


def unpack(stored: str) -> str:
    """Decode a stored text; earlier versions stored texts without encoding."""
    if not stored.startswith(_MARK):
        return stored
    try:
        return zlib.decompress(base64.b64decode(stored[len(_MARK) :], validate=True)).decode()
    except (zlib.error, binascii.Error, ValueError):  # a text of an earlier version that begins with the mark
        return stored
