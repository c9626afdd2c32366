"""What the tour shows, and what each step must come to.

Data only; `tour_row` says what the columns mean, `tour` acts on them.
"""

from typing import Final

from wicketgate.core.identity import PRINCIPAL_HEADER, USER_ALIAS, USER_HEADER
from wicketgate.core.reason import Reason
from wicketgate.local.clerk import Mode
from wicketgate.local.clerk_instance import USER
from wicketgate.local.stack import ORIGIN
from wicketgate.local.tour_row import Credential, Door, Identity, Row

AS_USER: Final[Identity] = ((USER_HEADER, USER), (PRINCIPAL_HEADER, f"user:{USER}"))
AS_SERVICE: Final[Identity] = ((PRINCIPAL_HEADER, "service:static"),)
AS_ANONYMOUS: Final[Identity] = ((PRINCIPAL_HEADER, "anonymous"),)

IMPOSTOR: Final = "user_impostor"
SPELLINGS: Final = ("clerk_user_id", "Clerk-User-Id", "clerk-user_id", "CLERK_USER-ID", USER_ALIAS)
"""Names that one framework or another takes for the user id."""


_REFUSED: Final = (
    ("no token", Credential.NONE, Reason.NO_CREDENTIAL),
    ("an expired token", Credential.EXPIRED, Reason.TOKEN_EXPIRED),
    ("a forged token", Credential.FORGED, Reason.SIGNATURE_INVALID),
    ("a token of another Clerk instance", Credential.OTHER_INSTANCE, Reason.KEY_UNKNOWN),
)

TOKENS: Final = (
    Row(title="a signed-in user", credential=Credential.USER, status=200, upstream=AS_USER),
    *(
        Row(title=title, credential=credential, status=401, reason=reason)
        for title, credential, reason in _REFUSED
    ),
)

SPOOFS: Final = (
    *(
        Row(
            title=f"a user who also sends {name}",
            credential=Credential.USER,
            headers=((name, IMPOSTOR),),
            status=200,
            upstream=AS_USER,
        )
        for name in SPELLINGS
    ),
    *(
        Row(
            title=f"nobody, who sends {name}",
            path="/public",
            headers=((name, IMPOSTOR),),
            status=200,
            upstream=AS_ANONYMOUS,
        )
        for name in SPELLINGS
    ),
    Row(
        title=f"nobody, who sends {PRINCIPAL_HEADER}",
        path="/public",
        headers=((PRINCIPAL_HEADER, "service:static"), ("Wicketgate_Principal", "anonymous")),
        status=200,
        upstream=AS_ANONYMOUS,
    ),
)

_ODD_PATHS: Final = (
    # Envoy resolves these two, so the gate is asked about the path they lead to;
    ("/public/../me", 401, Reason.NO_CREDENTIAL),
    ("/public/%2e%2e/me", 401, Reason.NO_CREDENTIAL),
    # it refuses these two itself;
    ("/public/..%2fme", 400, ""),
    ("/public%5c..%5cme", 400, ""),
    # and passes this one on, which the gate finds ambiguous.
    ("/public/%252e%252e/me", 400, Reason.AMBIGUOUS_PATH),
)

ROUTES: Final = (
    Row(title="an open route, no token", path="/public", status=200, upstream=AS_ANONYMOUS),
    Row(
        title="an open route, a bad token",
        path="/public",
        credential=Credential.RUBBISH,
        status=401,
        reason=Reason.TOKEN_MALFORMED,
    ),
    Row(
        title="a route that asks nothing, a bad token",
        path="/healthz",
        credential=Credential.RUBBISH,
        status=200,
        upstream=AS_ANONYMOUS,
    ),
    Row(
        title="a service token, inside",
        door=Door.INTERNAL,
        path="/internal/audio/7",
        credential=Credential.SERVICE,
        status=200,
        upstream=AS_SERVICE,
    ),
    Row(
        title="a service token, at the public edge",
        path="/internal/audio/7",
        credential=Credential.SERVICE,
        status=401,
        reason=Reason.TOKEN_MALFORMED,
    ),
    Row(
        title="a user, where only services go",
        door=Door.INTERNAL,
        path="/internal/audio/7",
        credential=Credential.USER,
        status=403,
        reason=Reason.USER_NOT_ADMITTED,
    ),
    Row(
        title="a service, where nobody is admitted",
        door=Door.INTERNAL,
        path="/internal/jobs",
        credential=Credential.SERVICE,
        status=403,
        reason=Reason.NOBODY_ADMITTED,
    ),
    Row(
        title="a path that no rule is about",
        door=Door.INTERNAL,
        path="/me",
        credential=Credential.USER,
        status=403,
        reason=Reason.NOBODY_ADMITTED,
    ),
    *(
        Row(title=f"no token, {path}", path=path, status=status, reason=reason)
        for path, status, reason in _ODD_PATHS
    ),
    Row(
        title="a browser's preflight",
        method="OPTIONS",
        headers=(("origin", ORIGIN), ("access-control-request-method", "GET")),
        status=200,
    ),
)

CLERK_DOWN: Final = (
    Row(
        title="Clerk is down, a known key",
        credential=Credential.USER,
        clerk=Mode.DOWN,
        status=200,
        upstream=AS_USER,
    ),
    Row(
        title="Clerk is down, a key never seen",
        credential=Credential.OTHER_INSTANCE,
        clerk=Mode.DOWN,
        status=503,
        reason=Reason.KEYS_UNAVAILABLE,
    ),
)

GATE_GONE: Final = (
    Row(title="the gate has crashed", credential=Credential.USER, status=503),
    Row(title="the gate has crashed, an open route", path="/public", status=503),
)
