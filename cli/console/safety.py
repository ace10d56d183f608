"""What keeps other pages of the same browser out: names of hosts, origins, a token, and what our pages may load."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "relook-session"
TOKEN_HEADER = "x-relook-token"
TOKEN_FIELD = "token"

_SAFE_METHODS = {"GET", "HEAD"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Sessions:
    """Tokens that only a page of this very process can know.

    The secret dies with the process, so a page that an earlier console served can change nothing.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def token(self, session: str) -> str:
        """What a change must bring along, for the session of its cookie."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def vouches(self, session: str, token: str) -> bool:
        """Whether the token is the session's."""
        return bool(session) and hmac.compare_digest(self.token(session).encode(), token.encode(errors="replace"))


def session_of(headers: Headers) -> str:
    """The session that a request's cookie names; empty for none."""
    # Cookies know no ports: those of whatever else runs on this machine come along, and the library's are strict.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


class OwnPagesOnly:
    """Answers requests that name this server as their host, and changes that come from its own pages.

    The token itself is checked by `change`, where the body has been read.
    """

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            refusal = PlainTextResponse(f"{host!r} is not this console; open http://{min(self._hosts)}/", 421)
            await refusal(scope, receive, send)
            return
        if scope["method"] not in _SAFE_METHODS and headers.get("origin") != f"http://{host}":
            refusal = PlainTextResponse("Only the console's own pages can change anything", 403)
            await refusal(scope, receive, send)
            return
        session = session_of(headers)
        is_new = not session
        session = session or secrets.token_urlsafe(24)
        scope["state"] = {**scope.get("state", {}), "session": session}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer[name] = value
                answer.setdefault("cache-control", "no-store")
                if is_new:
                    answer.append("set-cookie", f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        await self._app(scope, receive, guarded)
