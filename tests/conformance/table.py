"""The conformance table: what every depth of the gate must answer.

One row is one request and its one right answer. The same rows run through
`decide`, through the gRPC service, and through a real Envoy in front of an
upstream that reports what reached it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from wicketgate.core.claims import PartyCheck, TokenRules
from wicketgate.core.decision import (
    Judge,
)
from wicketgate.core.keys import KeySet
from wicketgate.core.service_token import ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.local.clerk_instance import ABSENT, SESSION, USER, ClerkInstance, new_key

ORIGIN: Final = "http://localhost:3000"
IDENTITY: Final = ("clerk_user_id", "x-user-id", "wicketgate-principal")


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a request can be made from."""

    clerk: ClerkInstance
    stranger: ClerkInstance
    service_token: str
    now: float

    def judge(self) -> Judge:
        """Return the judge that `wicketgate local` runs with."""
        rules = TokenRules(
            issuers=frozenset({self.clerk.issuer}),
            party_check=PartyCheck.REQUIRED,
            authorized_parties=frozenset({ORIGIN}),
        )
        return Judge(
            verifier=TokenVerifier(rules), service_tokens=ServiceTokens((self.service_token,))
        )

    def keys(self) -> KeySet:
        """Return the instance's keys."""
        return KeySet.from_jwks(self.clerk.jwks())


@dataclass(frozen=True, slots=True)
class Route:
    """A route of envoy.yaml, and the context that its Checks carry."""

    listener: str
    path: str
    context: Mapping[str, str]


USERS: Final = Route("edge", "/v1/me", {"policy": "user", "exposure": "public"})
OPTIONAL: Final = Route("edge", "/public/page", {"policy": "optional", "exposure": "public"})
ANYONE: Final = Route("edge", "/healthz", {"policy": "anonymous", "exposure": "public"})
INSIDE: Final = Route("internal", "/v1/me", {"policy": "user-or-service", "exposure": "internal"})
SERVICES: Final = Route("internal", "/internal/x", {"policy": "service", "exposure": "internal"})

Headers = Mapping[str, str]
Sends = Callable[[World], Headers]


def nothing(_: World) -> Headers:
    """Send no credential."""
    return {}


def bearer(*, scheme: str = "Bearer", age: float = 0, **claims: object) -> Sends:
    """Send a user's token, minted `age` seconds ago, with `claims` changed."""

    def send(world: World) -> Headers:
        token = world.clerk.mint(now=world.now - age, claims=claims)
        return {"authorization": f"{scheme} {token}"}

    return send


def with_header(**header: object) -> Sends:
    """Send a user's token with its JOSE header changed."""
    return lambda world: {
        "authorization": f"Bearer {world.clerk.mint(now=world.now, header=header)}"
    }


def forged(world: World) -> Headers:
    """Send a token signed by a key that is not the instance's, under its ``kid``."""
    return {"authorization": f"Bearer {world.clerk.mint(now=world.now, key=new_key())}"}


def of_stranger(world: World) -> Headers:
    """Send a valid token of another instance."""
    return {"authorization": f"Bearer {world.stranger.mint(now=world.now)}"}


def literally(value: str) -> Sends:
    """Send this ``Authorization``."""
    return lambda _: {"authorization": value}


def twice(world: World) -> Headers:
    """Send what Envoy makes of two ``Authorization`` headers."""
    token = world.clerk.mint(now=world.now)
    return {"authorization": f"Bearer {token},Bearer {token}"}


def three_words(world: World) -> Headers:
    """Send a token and a word after it."""
    return {"authorization": f"Bearer {world.clerk.mint(now=world.now)} more"}


def bare(world: World) -> Headers:
    """Send a token without a scheme."""
    return {"authorization": world.clerk.mint(now=world.now)}


def service(world: World) -> Headers:
    """Send the service token."""
    return {"authorization": f"Bearer {world.service_token}"}


def almost_service(world: World) -> Headers:
    """Send the service token with its last character changed."""
    last = "A" if world.service_token[-1] != "A" else "B"
    return {"authorization": f"Bearer {world.service_token[:-1]}{last}"}


def cookie(world: World) -> Headers:
    """Send a valid token in a cookie; cookies are off."""
    return {"cookie": f"__session={world.clerk.mint(now=world.now)}"}


def spoofing(sends: Sends) -> Sends:
    """Send the identity headers besides."""
    return lambda world: {
        **sends(world),
        "clerk_user_id": "user_attacker",
        "clerk-user-id": "user_attacker",
        "clerk_user-id": "user_attacker",
        "clerk-user_id": "user_attacker",
        "x-clerk-user-id": "user_attacker",
        "x-user-id": "user_attacker",
        "x_user-id": "user_attacker",
        "wicketgate-principal": "user:user_attacker",
        "wicketgate_principal": "user:user_attacker",
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One request and its answer.

    Attributes:
        name: What is claimed.
        route: Where it is sent.
        sends: The headers that the client adds.
        status: 200 when it reaches the upstream.
        reason: Of the denial; empty when it reaches the upstream.
        principal: What ``wicketgate-principal`` says upstream.
        authorization_arrives: Whether upstream sees the credential.
    """

    name: str
    route: Route
    sends: Sends
    status: int = 200
    reason: str = ""
    principal: str = ""
    authorization_arrives: bool = field(default=True)

    @property
    def identity(self) -> dict[str, str]:
        """The identity headers that upstream sees."""
        named = {"wicketgate-principal": self.principal}
        if self.principal.startswith("user:"):
            named["clerk_user_id"] = self.principal.removeprefix("user:")
        return named


AS_USER: Final = f"user:{USER}"


def denied(name: str, route: Route, sends: Sends, reason: str, status: int = 401) -> Row:
    """Return the row of a request that must not reach the upstream."""
    return Row(name, route, sends, status=status, reason=reason)


ROWS: Final = (
    # A user's route.
    Row("a user's token", USERS, bearer(), principal=AS_USER),
    Row("the scheme in any case", USERS, bearer(scheme="bEARER"), principal=AS_USER),
    Row("expired inside the skew", USERS, bearer(age=62), principal=AS_USER),
    Row("no typ", USERS, with_header(typ=ABSENT), principal=AS_USER),
    Row("no cat", USERS, with_header(cat=ABSENT), principal=AS_USER),
    Row("an unknown header member", USERS, with_header(oiat=1), principal=AS_USER),
    Row("an impersonated session", USERS, bearer(act={"sub": "user_9"}), principal=AS_USER),
    Row("spoofed headers beside a token", USERS, spoofing(bearer()), principal=AS_USER),
    denied("no credential", USERS, nothing, "no_credential"),
    denied("spoofed headers alone", USERS, spoofing(nothing), "no_credential"),
    denied("expired", USERS, bearer(age=70), "token_expired"),
    denied("forged", USERS, forged, "signature_invalid"),
    denied("another instance", USERS, of_stranger, "key_unknown"),
    denied("another issuer", USERS, bearer(iss="https://clerk.example.org"), "issuer_mismatch"),
    denied("another application", USERS, bearer(azp="https://evil.example"), "party_mismatch"),
    denied("no application", USERS, bearer(azp=ABSENT), "party_missing"),
    denied("a pending session", USERS, bearer(sts="pending"), "session_pending"),
    denied("no session", USERS, bearer(sid=ABSENT), "session_missing"),
    denied("a machine's subject", USERS, bearer(sub="mch_1"), "machine_token"),
    denied("a subject with a line break", USERS, bearer(sub="user_1\r\nx: y"), "subject_invalid"),
    denied("an OAuth access token", USERS, with_header(typ="at+jwt"), "machine_token"),
    denied("a template's token", USERS, with_header(cat="cl_B7d4PD222AAA"), "template_token"),
    denied("alg none", USERS, with_header(alg="none"), "token_algorithm"),
    denied("alg HS256", USERS, with_header(alg="HS256"), "token_algorithm"),
    denied("crit", USERS, with_header(crit=["exp"]), "token_header_unsupported"),
    denied("not a token", USERS, literally("Bearer x.y.z"), "token_malformed"),
    denied("an API key", USERS, literally("Bearer ak_0123456789"), "machine_token"),
    denied("too large", USERS, literally("Bearer " + "a" * 8193), "token_too_large"),
    denied("another scheme", USERS, literally("Basic dXNlcjpwYXNz"), "authorization_malformed"),
    denied("two tokens", USERS, twice, "authorization_malformed"),
    denied("three words", USERS, three_words, "authorization_malformed"),
    denied("no scheme", USERS, bare, "authorization_malformed"),
    denied("no token", USERS, literally("Bearer"), "authorization_malformed"),
    denied("a cookie, which is off", USERS, cookie, "no_credential"),
    denied("a service token at the edge", USERS, service, "token_malformed"),
    # A route where users are optional.
    Row("optional: nobody", OPTIONAL, nothing, principal="anonymous"),
    Row("optional: a user", OPTIONAL, bearer(), principal=AS_USER),
    Row("optional: spoofed headers", OPTIONAL, spoofing(nothing), principal="anonymous"),
    denied("optional: expired", OPTIONAL, bearer(age=70), "token_expired"),
    denied("optional: malformed", OPTIONAL, literally("Bearer"), "authorization_malformed"),
    denied("optional: a service token", OPTIONAL, service, "token_malformed"),
    # A route for anyone.
    Row("anyone: nobody", ANYONE, nothing, principal="anonymous"),
    Row("anyone: a user goes unnamed", ANYONE, bearer(), principal="anonymous"),
    Row("anyone: a bad token is not read", ANYONE, literally("Bearer x"), principal="anonymous"),
    Row("anyone: spoofed headers", ANYONE, spoofing(nothing), principal="anonymous"),
    denied("anyone: a service token", ANYONE, service, "token_malformed"),
    # Inside the mesh.
    Row("inside: a user", INSIDE, bearer(), principal=AS_USER),
    Row(
        "inside: a service",
        INSIDE,
        service,
        principal="service:static",
        authorization_arrives=False,
    ),
    Row(
        "inside: a service that spoofs",
        INSIDE,
        spoofing(service),
        principal="service:static",
        authorization_arrives=False,
    ),
    denied("inside: nobody", INSIDE, nothing, "no_credential"),
    denied("inside: almost the token", INSIDE, almost_service, "token_malformed"),
    Row(
        "services: a service",
        SERVICES,
        service,
        principal="service:static",
        authorization_arrives=False,
    ),
    denied("services: a user", SERVICES, bearer(), "user_not_admitted", 403),
    denied("services: nobody", SERVICES, nothing, "no_credential"),
    denied("services: an expired user", SERVICES, bearer(age=70), "token_expired"),
)

__all__ = ["ANYONE", "INSIDE", "OPTIONAL", "ROWS", "SERVICES", "SESSION", "USERS", "Row", "World"]
