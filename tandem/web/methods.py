"""Safe methods of HTTP (RFC 9110, 9.2.1)."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
