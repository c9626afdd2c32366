"""Call another service of the mesh with ``SERVICE_AUTH_TOKEN``, such as to pull audio.

The token goes to one origin and to no other, whatever a server redirects to and whatever proxy
the environment names; it is in no ``repr``, no error and no log line. Only the standard library.

    client = ServiceClient("http://mesh.internal:8001")
    with client.get("/internal/audio/42") as audio:
        shutil.copyfileobj(audio, file)

It blocks: under asyncio, call it in `asyncio.to_thread`.

Source: RFC 6750 section 2.1 (bearer tokens), RFC 6454 section 4 (what an origin is).
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Final, cast
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPRedirectHandler,
    ProxyHandler,
    Request,
    build_opener,
)

VARIABLE: Final = "SERVICE_AUTH_TOKEN"
TIMEOUT_SECONDS: Final = 10.0
"""For the connection and for each read, not for the whole transfer."""
_TOKEN: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]{32,}")
"""What the gate takes for one token: visible ASCII, no comma, 32 characters or more."""
_MAX_PROBLEM_BYTES: Final = 64 * 1024

Origin = tuple[str, str, int]


class ServiceTokenError(Exception):
    """There is no usable token. The message says where it was looked for, not what was found."""


class ServiceCallError(Exception):
    """The other side refused.

    Attributes:
        status: The HTTP status.
        reason: The gate's reason, such as ``service_not_admitted``; empty when it was another.
        decision_id: Under which the gate logged it; empty when it was another.
    """

    def __init__(self, status: int, reason: str, decision_id: str) -> None:
        super().__init__(f"HTTP {status} {reason}".rstrip())
        self.status = status
        self.reason = reason
        self.decision_id = decision_id


class ServiceClient:
    """Sends GET requests to one origin, with the service token."""

    def __init__(self, base_url: str, *, environ: Mapping[str, str] = os.environ) -> None:
        """Make a client.

        Args:
            base_url: ``scheme://host:port``: the internal door of the mesh, never the public one.
            environ: Where ``SERVICE_AUTH_TOKEN`` or ``SERVICE_AUTH_TOKEN_FILE`` is looked up. That
                is done for each request, so a replaced file needs no restart.

        Raises:
            ValueError: `base_url` is not such an origin.
            ServiceTokenError: there is no usable token.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = "base_url is not http://host:port or https://host:port"
            raise ValueError(msg)
        if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
            msg = "base_url is more than a scheme, a host and a port"
            raise ValueError(msg)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._environ = environ
        service_token(environ)  # Better at the start than at the first call.
        # Without ProxyHandler({}), a proxy named in the environment would get the token.
        home = _origin(base_url)
        self._opener = build_opener(ProxyHandler({}), _Redirects(home), _Credential(home, environ))

    def __repr__(self) -> str:
        return f"ServiceClient({self._base!r})"

    def get(self, path: str, *, timeout: float = TIMEOUT_SECONDS) -> HTTPResponse:
        """Return the answer to a GET, whose body is still to be read. Close it.

        Args:
            path: From the first slash on, the query included.
            timeout: In seconds, for the connection and for each read.

        Raises:
            ValueError: `path` does not begin with a slash.
            ServiceTokenError: the token's file has become unusable.
            ServiceCallError: the answer is not 2xx.
            OSError: no answer came.
        """
        if not path.startswith("/"):  # "@host/" and ".host/" would change the host.
            msg = "a path begins with a slash"
            raise ValueError(msg)
        try:
            # What is opened is http or https, see _Redirects; so it is this kind of answer.
            return cast("HTTPResponse", self._opener.open(self._base + path, timeout=timeout))
        except HTTPError as error:
            with error:
                raise _refusal(error) from None


def service_token(environ: Mapping[str, str]) -> str:
    """Return the token, from the file that the environment names, or from the environment.

    Raises:
        ServiceTokenError: there is none, there are two, or it is none that the gate would take.
    """
    value, file = environ.get(VARIABLE), environ.get(f"{VARIABLE}_FILE")
    if value and file:
        msg = f"{VARIABLE} and {VARIABLE}_FILE are both set; set one"
        raise ServiceTokenError(msg)
    if file:
        try:
            value = Path(file).read_text("ascii")
        except (OSError, ValueError) as error:
            kind = error.strerror if isinstance(error, OSError) else "not ASCII"
            msg = f"the file that {VARIABLE}_FILE names cannot be read: {kind}"
            raise ServiceTokenError(msg) from None
    token = (value or "").strip()
    if not _TOKEN.fullmatch(token):
        msg = f"{VARIABLE} or {VARIABLE}_FILE must hold one token of 32 or more visible characters"
        raise ServiceTokenError(msg)
    return token


class _Credential(BaseHandler):
    """Adds the token to requests to one origin. Redirected requests pass here as well."""

    def __init__(self, home: Origin, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ

    def http_request(self, request: Request) -> Request:
        """Add the token, in a way that is not copied when this request is redirected."""
        if _origin(request.full_url) == self._home:
            token = service_token(self._environ)
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        return request

    https_request = http_request


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not from https to something less, nor from elsewhere back home.

    The latter, because nobody else may choose what is asked for with the token.
    """

    def __init__(self, home: Origin) -> None:
        self._home = home

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        """Return the request that follows, or `None` for an error."""
        schemes = {"https"} if req.type == "https" else {"http", "https"}
        try:
            comes_back = _origin(newurl) == self._home != _origin(req.full_url)
        except ValueError:  # a port that is none
            return None
        if comes_back or urlsplit(newurl).scheme not in schemes:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.scheme, (parts.hostname or "").rstrip("."), port)


def _refusal(error: HTTPError) -> ServiceCallError:
    problem: object = None
    if error.headers.get_content_type() == "application/problem+json":
        with suppress(ValueError, OSError):
            problem = json.loads(error.read(_MAX_PROBLEM_BYTES))
    known = problem if isinstance(problem, dict) else {}
    return ServiceCallError(
        error.code, str(known.get("reason", "")), str(known.get("decision_id", ""))
    )
