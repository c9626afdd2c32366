"""``wicketgate policy explain``: what becomes of one request, and why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from wicketgate.core.credential import NoCredential
from wicketgate.core.policy.explain import explain
from wicketgate.core.policy.routes import RoutePolicy
from wicketgate.core.policy.rule import Policy
from wicketgate.core.request import HttpRequest
from wicketgate.tools.caller import CallerWish, KnownCaller, caller_of
from wicketgate.tools.explain_document import Explained, document_of
from wicketgate.tools.explain_report import report_of
from wicketgate.tools.policy_text import policy_of
from wicketgate.tools.terminal import Style

_HIDDEN: Final = "Bearer (not shown)"


def run_explain(
    request: HttpRequest,
    wish: CallerWish,
    *,
    policy: Path | None,
    now: float,
    stdin: BinaryIO,
    out: TextIO,
    as_json: bool,
) -> int:
    """Explain what becomes of `request` and write it.

    Args:
        request: The request, without its credential.
        wish: Who sends it.
        policy: The policy file; `None` for the words beside the routes.
        now: POSIX seconds.
        stdin: Where a token may come from.
        out: Where to write.
        as_json: Write one JSON object instead of lines.

    Returns:
        The exit status, which is 0 whatever the verdict.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    rules = _policy_of(policy)
    known = caller_of(wish, now=now, stdin=stdin, takes_pending=policy is not None)
    asked = _with_credential(request, known)
    explained = Explained(
        request=asked,
        known=known,
        now=now,
        policy=None if policy is None else str(policy),
        explanation=explain(rules, asked, caller=known.caller, now=now),
    )
    if as_json:
        out.write(json.dumps(document_of(explained)) + "\n")
    else:
        out.write(report_of(explained, Style.for_stream(out)))
    return 0


def _policy_of(path: Path | None) -> Policy:
    return RoutePolicy() if path is None else policy_of(path).policy


def _with_credential(request: HttpRequest, known: KnownCaller) -> HttpRequest:
    """Return the request with the header that the caller's would have; rules can ask for it."""
    if isinstance(known.caller, NoCredential):
        return request
    return replace(request, headers={**request.headers, "authorization": _HIDDEN})
