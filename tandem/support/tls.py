"""Verification of servers: the image has only the certificate authorities of certifi and those added to it."""

from __future__ import annotations

import ssl

import certifi


def context() -> ssl.SSLContext:
    """Return a client's context that trusts certifi's authorities and those of the system."""
    made = ssl.create_default_context()
    made.load_verify_locations(certifi.where())
    return made
