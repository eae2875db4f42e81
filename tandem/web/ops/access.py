"""Who may use the operations page: those with the OPS_TOKEN, and for looking only with the OPS_READ_TOKEN.

A token is taken from the header Authorization or from the form, which sets a cookie. The cookie is signed with a key
that is made of the tokens: whoever changes a token signs everybody out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flask import Response, request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from tandem.config.settings import Settings
from tandem.web.auth import MISSING, RIGHT, TokenGate

COOKIE = "tandem-ops"
#: How long somebody stays signed in (seconds).
SIGNED_IN = 12 * 3600
PATH = "/ops"
#: Names of the tokens, in the action log as well.
OPERATOR, READER = "ops", "ops-read"


@dataclass(frozen=True)
class Visitor:
    """Somebody who is signed in."""

    name: str

    @property
    def may_act(self) -> bool:
        """Whether this token changes anything."""
        return self.name == OPERATOR


class Access:
    """Verifies tokens and cookies. The page is closed without an OPS_TOKEN."""

    def __init__(self, settings: Settings) -> None:
        tokens = {
            name: token.get_secret_value()
            for name, token in ((OPERATOR, settings.ops_token), (READER, settings.ops_read_token))
            if token
        }
        self.is_open = OPERATOR in tokens
        self._gate = TokenGate(tokens, settings)
        key = hashlib.sha256("\n".join(f"{name}:{token}" for name, token in tokens.items()).encode()).hexdigest()
        self._signer = URLSafeTimedSerializer(key, salt="tandem-ops")
        self._sentences = URLSafeTimedSerializer(key, salt="tandem-ops-said")
        self._names = set(tokens)

    def visitor(self) -> tuple[Visitor | None, str]:
        """Return who asks, by the header or the cookie, and what is wrong with the header of somebody who has none.

        Headers of other kinds, as of a proxy in front that asks for a password, are not ours.
        """
        if request.headers.get("Authorization", "").lower().startswith("bearer "):
            access, name = self._gate.access()
            return (Visitor(name) if access == RIGHT else None), access
        return self._by_cookie(), MISSING

    def _by_cookie(self) -> Visitor | None:
        try:
            name = self._signer.loads(request.cookies.get(COOKIE, ""), max_age=SIGNED_IN)
        except BadSignature:
            return None
        return Visitor(name) if isinstance(name, str) and name in self._names else None

    def sign_in(self, token: str) -> tuple[str, str]:
        """Return what a token of the form is (see tandem.web.auth), and its name."""
        return self._gate.access_with(token.strip().encode("latin-1", "replace"))

    def remember(self, response: Response, name: str) -> None:
        """Set the cookie."""
        response.set_cookie(
            COOKIE,
            str(self._signer.dumps(name)),
            max_age=SIGNED_IN,
            path=PATH,
            httponly=True,
            samesite="Strict",
            secure=request.is_secure,
        )

    def forget(self, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Strict", secure=request.is_secure)

    def seal(self, text: str) -> str:
        """Return a sentence for the next page, which nobody else can have made."""
        return str(self._sentences.dumps(text))

    def unseal(self, sealed: str) -> str:
        """Return the sentence, or "" for one that is old or forged."""
        try:
            return str(self._sentences.loads(sealed, max_age=60))
        except BadSignature:
            return ""
