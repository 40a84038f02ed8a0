"""The GraphiQL page of development."""

import base64
import hashlib
import re

from strawberry.http.ides import get_graphql_ide_html

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ORIGIN = re.compile(r'(?:src|href)="(https://[^/"]+)/')


class GraphiQL:
    """Strawberry's page, which sends its requests to the address it is served from, and a policy that fits it."""

    def __init__(self) -> None:
        html = get_graphql_ide_html("graphiql")
        self.body = html.encode()
        self.headers: tuple[tuple[bytes, bytes], ...] = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", _policy(html).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"vary", b"accept"),
        )


def _policy(html: str) -> str:
    origins = " ".join(sorted(set(_ORIGIN.findall(html))))
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in _INLINE.findall(html))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {origins} {hashes}",
            f"style-src {origins} 'unsafe-inline'",
            f"font-src {origins} data:",
            "img-src 'self' data:",
            "connect-src 'self' ws: wss:",
            "worker-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
