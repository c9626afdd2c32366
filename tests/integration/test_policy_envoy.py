"""A policy file behind a real Envoy: what each word of it does to requests that are sent.

The same table runs behind three Envoys: one set up as operators are told to set it up for
this policy; one whose own filter for forged headers is taken out, so that the gate stands
alone; and the same with headers sent raw. What is claimed about headers is claimed of what
the upstream saw.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from certificates import Authority
from policies import (
    ORGANISATION,
    credential,
    decision_on,
    metric,
    outcome,
    token,
    v1,
    v2,
)
from transports import TRANSPORT
from wicketgate.core.identity import spellings_of
from wicketgate.local.clerk_instance import USER
from wicketgate.local.client import Client, bearer
from wicketgate.local.envoy_config import EnvoyOptions, PeerTls
from wicketgate.local.policy_file import shipped_policy
from wicketgate.local.stack import LocalStack
from wicketgate.local.upstream import Seen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

POLICY: Final = """
version: 1
rules:
  # The first that fits decides, and nothing falls through.
  - { name: narrow, match: { paths: /order/narrow }, allow: { user: { org_role: admin } } }
  - { name: order, match: { paths: /order/** }, allow: user }
  - { name: read, match: { methods: [GET, HEAD], paths: /method }, allow: anonymous }
  - { name: write, match: { paths: /method }, allow: user }

  # What a user must be.
  - { name: role, match: { paths: /role }, allow: { user: { org_role: admin } } }
  - name: permission
    match: { paths: /permission }
    allow: { user: { org_permission: "org:invoices:read" } }
  - { name: fresh, match: { paths: /fresh }, allow: { user: { second_factor_age: 10m } } }
  - { name: pending, match: { paths: /pending }, allow: { user: { pending: allow } } }
  - { name: in-person, match: { paths: /in-person }, allow: { user: { actor: deny } } }
  - name: either
    match: { paths: /either }
    allow: [{ user: { org_role: admin } }, { user: { org_id: org_partner } }]

  # Conditions.
  - name: tenant
    match: { paths: "/orgs/{org_id}/**" }
    allow: user
    when: user.org_id == path.org_id
  - { name: plan, match: { paths: /plan }, allow: user, when: claims.plan == "pro" }
  - name: tier
    match: { paths: /tier }
    allow: anonymous
    when: request.headers["x-tier"] == "gold"
  - name: known-workload
    match: { paths: /known }
    allow: anonymous
    when: source.principal == "spiffe://mesh/ns/ml/sa/known"

  # Headers that tell something, and rules that tell nothing.
  - name: told
    match: { paths: /told }
    allow: user
    headers: { x-org-id: org_id, x-plan: claims.plan }
  - name: maybe
    match: { paths: /maybe }
    allow: [user, anonymous]
    headers: { x-org-id: org_id }
  - { name: open, match: { paths: /open }, allow: anonymous }
  - { name: app, match: { paths: /app }, allow: user }
  - { name: stripped, match: { paths: /stripped }, allow: user, credentials: strip }

  # Which requests a rule is about.
  - { name: below, match: { hosts: "*.tenants.example.com", paths: /host }, allow: anonymous }
  - { name: asked, match: { headers: x-debug, paths: /asked }, allow: anonymous }
  - name: by-route
    match: { context: { policy: [service, "user-or-service"] }, paths: /internal/by-route }
    allow: user
  - name: by-listener
    match: { context: { exposure: internal }, paths: /listener }
    allow: user

  # Services.
  - name: audio
    match: { context: { exposure: internal }, paths: /internal/audio/** }
    allow: service
  - name: carried
    match: { context: { exposure: internal }, paths: /internal/carried }
    allow: { service: { scope: audio } }
    credentials: forward
  - name: billing-only
    match: { context: { exposure: internal }, paths: /internal/billing }
    allow: { service: { name: billing, scope: invoices } }

  # Rules that only watch.
  - name: watching
    match: { paths: /watched }
    allow: { user: { org_role: admin } }
    headers: { x-org-id: org_id }
    credentials: strip
    shadow: true
  - { name: watched, match: { paths: /watched }, allow: user }
"""
SET: Final = ("x-org-id", "x-plan")
"""Headers that the policy sets."""

TOKENS: Final = {
    "ml": "the-token-of-the-ml-engine-0123456789ab",
    "billing": "the-token-of-billing-0123456789abcdef0",
    "late": "the-token-that-has-ended-0123456789abcd",
    "pinned": "the-token-of-one-workload-0123456789abc",
}
PINNED: Final = "spiffe://mesh/ns/ml/sa/pinned"
KNOWN: Final = "spiffe://mesh/ns/ml/sa/known"

AS_TOLD: Final = EnvoyOptions(
    policy_headers=SET, shown_headers=("x-tier", "x-debug"), session_cookies=True
)
ENVOYS: Final = {
    "as told": AS_TOLD,
    "gate alone": replace(AS_TOLD, strip=False, underscores="ALLOW"),
    "raw headers": replace(AS_TOLD, strip=False, underscores="ALLOW", encode_raw_headers=True),
}
ATTACKER: Final = "org_attacker"


def tokens_file() -> str:
    """Return the file of named service tokens."""
    lines = {
        "ml": "scopes: audio",
        "billing": "scopes: [invoices, refunds]",
        "late": 'scopes: "*", not_after: "2020-01-01T00:00:00Z"',
        "pinned": f'scopes: "*", principal: {PINNED}',
    }
    entries = [
        f"  - {{ name: {name}, sha256: {sha256(TOKENS[name].encode()).hexdigest()}, {rest} }}"
        for name, rest in lines.items()
    ]
    return "\n".join(("version: 1", "tokens:", *entries))


@asynccontextmanager
async def running(folder: Path, options: EnvoyOptions) -> AsyncIterator[LocalStack]:
    """Run the policy and the service tokens behind an Envoy."""
    policy, tokens = folder / "policy.yaml", folder / "tokens.yaml"
    policy.write_text(POLICY, "utf-8")
    tokens.write_text(tokens_file(), "utf-8")
    settings = {
        "WICKETGATE_SERVICE_TOKENS_FILE": str(tokens),
        "WICKETGATE_SESSION_COOKIES": "true",
    }
    async with LocalStack(
        transport=TRANSPORT, policy=policy, environment=settings, options=options
    ) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENVOYS)
async def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalStack]:
    async with running(tmp_path_factory.mktemp("rules"), ENVOYS[request.param]) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


Shown = Mapping[str, Any] | str | None
"""Who asks: the claims of a user's token, the name of a service's, or nobody."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request, and what becomes of it in the words of conformance/paths.yaml."""

    name: str
    path: str
    shown: Shown = None
    expected: str
    method: str = "GET"
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    inside: bool = False


async def ask(
    stack: LocalStack,
    client: Client,
    path: str,
    shown: Shown = None,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    inside: bool = False,
) -> tuple[str, Seen | None]:
    """Send one request; return what became of it and what the upstream saw."""
    stack.upstream.take()
    lines = [*headers]
    if shown is not None:
        lines.append(bearer(shown_by(stack, shown)))
    reply = await client.send(
        (stack.internal if inside else stack.edge) + path, method=method, host=host, headers=lines
    )
    seen = stack.upstream.take()
    return outcome(reply, seen), seen[0] if seen else None


def shown_by(stack: LocalStack, shown: Mapping[str, Any] | str) -> str:
    """Return the credential."""
    if isinstance(shown, str):
        return TOKENS.get(shown) or credential(stack, shown)
    return token(stack, **shown)


def packed(
    permissions: str = "read,write", mask: str = "1", features: str = "o:invoices"
) -> dict[str, Any]:
    """Return the claims of a member with permissions, as version 2 packs them."""
    return {**v2(per=permissions, fpm=mask), "fea": features}


ADMIN: Final = v2(role="admin")
OTHER: Final = v2("org_2xKanotherTenantOfTheTests00")

CASES: Final = (
    # -- the first that fits
    Case(
        name="a later rule does not rescue",
        path="/order/narrow",
        shown={},
        expected="gate 403 role_not_admitted",
    ),
    Case(
        name="the first rule admits",
        path="/order/narrow",
        shown=ADMIN,
        expected="upstream /order/narrow",
    ),
    Case(name="the next rule", path="/order/x", shown={}, expected="upstream /order/x"),
    Case(name="no rule", path="/nowhere", shown=ADMIN, expected="gate 403 nobody_admitted"),
    Case(name="no rule, nobody", path="/nowhere", expected="gate 401 no_credential"),
    Case(name="a method of the rule", path="/method", expected="upstream /method"),
    Case(
        name="another method",
        path="/method",
        method="DELETE",
        expected="gate 401 no_credential",
    ),
    # -- organisations, in both shapes
    Case(name="a role, version 2", path="/role", shown=ADMIN, expected="upstream /role"),
    Case(
        name="a role, version 1",
        path="/role",
        shown=v1(role="org:admin"),
        expected="upstream /role",
    ),
    Case(
        name="another role, version 2",
        path="/role",
        shown=v2(),
        expected="gate 403 role_not_admitted",
    ),
    Case(
        name="another role, version 1",
        path="/role",
        shown=v1(),
        expected="gate 403 role_not_admitted",
    ),
    Case(name="no organization", path="/role", shown={}, expected="gate 403 role_not_admitted"),
    Case(
        name="a role of version 1 in a token of version 2",
        path="/role",
        shown={**v1(role="org:admin"), "v": 2},
        expected="gate 403 role_not_admitted",
    ),
    Case(
        name="a permission, version 2",
        path="/permission",
        shown=packed(mask="1"),
        expected="upstream /permission",
    ),
    Case(
        name="a permission, version 1",
        path="/permission",
        shown=v1(permissions=("org:invoices:read",)),
        expected="upstream /permission",
    ),
    Case(
        name="another permission, version 2",
        path="/permission",
        shown=packed(mask="2"),
        expected="gate 403 permission_missing",
    ),
    Case(
        name="another permission, version 1",
        path="/permission",
        shown=v1(permissions=("org:invoices:write",)),
        expected="gate 403 permission_missing",
    ),
    Case(
        name="a permission of another feature",
        path="/permission",
        shown=packed(features="o:exports"),
        expected="gate 403 permission_missing",
    ),
    Case(
        name="permissions that nobody can read alike",
        path="/permission",
        shown=packed(mask="1,1"),
        expected="gate 403 permissions_undecodable",
    ),
    Case(
        name="the other alternative",
        path="/either",
        shown=v2("org_partner"),
        expected="upstream /either",
    ),
    Case(
        name="neither alternative",
        path="/either",
        shown=v2(),
        expected="gate 403 role_not_admitted",
    ),
    # -- the session
    Case(
        name="a recent second factor",
        path="/fresh",
        shown={"fva": [0, 9]},
        expected="upstream /fresh",
    ),
    Case(
        name="a second factor of an hour ago",
        path="/fresh",
        shown={"fva": [0, 60]},
        expected="gate 403 second_factor_too_old",
    ),
    Case(
        name="no second factor",
        path="/fresh",
        shown={"fva": [0, -1]},
        expected="gate 403 second_factor_too_old",
    ),
    Case(
        name="a token that does not say",
        path="/fresh",
        shown={"fva": None},
        expected="gate 403 second_factor_too_old",
    ),
    Case(
        name="a pending session",
        path="/app",
        shown={"sts": "pending"},
        expected="gate 401 session_pending",
    ),
    Case(
        name="a pending session, where it counts",
        path="/pending",
        shown={"sts": "pending"},
        expected="upstream /pending",
    ),
    Case(
        name="an impersonated user",
        path="/app",
        shown={"act": {"sub": "user_support"}},
        expected="upstream /app",
    ),
    Case(
        name="an impersonated user, where only the user counts",
        path="/in-person",
        shown={"act": {"sub": "user_support"}},
        expected="gate 403 impersonation",
    ),
    # -- conditions
    Case(
        name="a tenant's own path",
        path=f"/orgs/{ORGANISATION}/items",
        shown=v2(),
        expected=f"upstream /orgs/{ORGANISATION}/items",
    ),
    Case(
        name="a tenant's own path, version 1",
        path=f"/orgs/{ORGANISATION}/items",
        shown=v1(),
        expected=f"upstream /orgs/{ORGANISATION}/items",
    ),
    Case(
        name="another tenant's path",
        path=f"/orgs/{ORGANISATION}/items",
        shown=OTHER,
        expected="gate 403 condition_not_met",
    ),
    Case(
        name="a tenant's path in another case",
        path=f"/orgs/{ORGANISATION.upper()}/items",
        shown=v2(),
        expected="gate 403 condition_not_met",
    ),
    Case(
        name="a tenant's path without a tenant",
        path=f"/orgs/{ORGANISATION}/items",
        shown={},
        expected="gate 403 condition_failed",
    ),
    Case(name="a claim", path="/plan", shown={"plan": "pro"}, expected="upstream /plan"),
    Case(
        name="another claim",
        path="/plan",
        shown={"plan": "free"},
        expected="gate 403 condition_not_met",
    ),
    Case(name="no such claim", path="/plan", shown={}, expected="gate 403 condition_failed"),
    Case(
        name="a header",
        path="/tier",
        headers=(("x-tier", "gold"),),
        expected="upstream /tier",
    ),
    Case(
        name="a header that says two things",
        path="/tier",
        headers=(("x-tier", "gold"), ("X-Tier", "none")),
        expected="gate 403 condition_not_met",
    ),
    Case(name="no such header", path="/tier", expected="gate 403 condition_failed"),
    Case(
        name="a workload that only a header names",
        path="/known",
        headers=(("x-forwarded-client-cert", f"URI={KNOWN}"),),
        expected="gate 403 condition_not_met",
    ),
    # -- which requests a rule is about
    Case(
        name="a host below",
        path="/host",
        host="a.tenants.example.com",
        expected="upstream /host",
    ),
    Case(
        name="a host further below, in upper case, with a port",
        path="/host",
        host="B.A.TENANTS.Example.com.:8443",
        expected="upstream /host",
    ),
    Case(
        name="the host itself",
        path="/host",
        host="tenants.example.com",
        expected="gate 401 no_credential",
    ),
    Case(
        name="a host that ends alike",
        path="/host",
        host="evil-tenants.example.com",
        expected="gate 401 no_credential",
    ),
    Case(
        name="a host that begins alike",
        path="/host",
        host="a.tenants.example.com.evil.example",
        expected="gate 401 no_credential",
    ),
    Case(
        name="a header that is there",
        path="/asked",
        headers=(("X-Debug", ""),),
        expected="upstream /asked",
    ),
    Case(name="a header that is not", path="/asked", expected="gate 401 no_credential"),
    Case(
        name="a word of the route",
        path="/internal/by-route",
        shown={},
        expected="upstream /internal/by-route",
    ),
    Case(
        name="a word of the listener",
        path="/listener",
        shown={},
        inside=True,
        expected="upstream /listener",
    ),
    Case(
        name="another listener",
        path="/listener",
        shown={},
        expected="gate 403 nobody_admitted",
    ),
    Case(
        name="a listener that only a header names",
        path="/listener",
        shown={},
        headers=(("exposure", "internal"),),
        expected="gate 403 nobody_admitted",
    ),
    # -- services
    Case(
        name="a service with the scope",
        path="/internal/audio/7",
        shown="ml",
        inside=True,
        expected="upstream /internal/audio/7",
    ),
    Case(
        name="a service with every scope",
        path="/internal/audio/7",
        shown="service",
        inside=True,
        expected="upstream /internal/audio/7",
    ),
    Case(
        name="a service without the scope",
        path="/internal/audio/7",
        shown="billing",
        inside=True,
        expected="gate 403 service_scope",
    ),
    Case(
        name="a service of the name",
        path="/internal/billing",
        shown="billing",
        inside=True,
        expected="upstream /internal/billing",
    ),
    Case(
        name="a service of another name",
        path="/internal/billing",
        shown="service",
        inside=True,
        expected="gate 403 service_not_admitted",
    ),
    Case(
        name="a token that has ended",
        path="/internal/audio/7",
        shown="late",
        inside=True,
        expected="gate 401 service_token_expired",
    ),
    Case(
        name="a token of one workload, shown by nobody knows whom",
        path="/internal/audio/7",
        shown="pinned",
        inside=True,
        expected="gate 403 service_principal_mismatch",
    ),
    Case(
        name="a service from outside",
        path="/internal/audio/7",
        shown="ml",
        expected="gate 401 token_malformed",
    ),
    Case(
        name="a user where services go",
        path="/internal/audio/7",
        shown=ADMIN,
        inside=True,
        expected="gate 403 user_not_admitted",
    ),
    Case(
        name="a service where users go",
        path="/app",
        shown="ml",
        inside=True,
        expected="gate 403 service_not_admitted",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_first_rule_that_fits_decides(
    case: Case, stack: LocalStack, client: Client
) -> None:
    became, _ = await ask(
        stack,
        client,
        case.path,
        case.shown,
        method=case.method,
        host=case.host,
        headers=case.headers,
        inside=case.inside,
    )

    assert case.expected == became


# -- headers


SAYS: Final = {**v2(), "plan": "pro"}


async def test_a_rule_tells_the_upstream_what_the_token_says(
    stack: LocalStack, client: Client
) -> None:
    _, seen = await ask(stack, client, "/told", SAYS, headers=spoofed())

    assert seen is not None
    assert (seen.values("x-org-id"), seen.values("x-plan")) == ([ORGANISATION], ["pro"])


async def test_what_the_token_does_not_say_is_not_told(stack: LocalStack, client: Client) -> None:
    _, seen = await ask(stack, client, "/told", {"plan": "pro"}, headers=spoofed())

    assert seen is not None
    assert (seen.values("x-org-id"), seen.values("x-plan")) == ([], ["pro"])


async def test_a_claim_that_no_header_can_carry_denies(stack: LocalStack, client: Client) -> None:
    became, _ = await ask(stack, client, "/told", {**v2(), "plan": "pro\r\nx-org-id: other"})

    assert became == "gate 403 claim_unusable"


def spoofed() -> list[tuple[str, str]]:
    """Return every header that the policy sets, in every spelling and case, and twice."""
    names = [spelling for name in SET for spelling in spellings_of(name)]
    cases: list[Callable[[str], str]] = [str.lower, str.upper, str.title]
    return [(spell(name), ATTACKER) for name in names for spell in cases for _ in range(2)]


ALLOWED: Final[Mapping[str, tuple[str, Shown, bool]]] = {
    "the rule that sets them": ("/told", SAYS, False),
    "the rule that sets them, but the token does not say": ("/told", {}, False),
    "a rule that sets one": ("/maybe", v2(), False),
    "a rule that sets one, but the token does not say": ("/maybe", {}, False),
    "a rule that sets one, but nobody asks": ("/maybe", None, False),
    "a rule for users": ("/app", v2(), False),
    "a rule for anyone": ("/open", None, False),
    "a rule for anyone, and a user asks": ("/open", v2(), False),
    "a rule for services": ("/internal/audio/7", "ml", True),
    "a rule that forwards the credential": ("/internal/carried", "ml", True),
    "a rule that strips it": ("/stripped", v2(), False),
    "a rule under a shadow": ("/watched", v2(), False),
}


@pytest.mark.parametrize(("path", "shown", "inside"), ALLOWED.values(), ids=ALLOWED)
async def test_a_client_says_nothing_under_the_name_of_a_header_that_the_policy_sets(
    path: str, shown: Shown, stack: LocalStack, client: Client, *, inside: bool
) -> None:
    """
    Not on any rule, in any spelling or case, once or twice.
    """
    became, seen = await ask(stack, client, path, shown, headers=spoofed(), inside=inside)

    assert became == f"upstream {path}"
    assert ATTACKER not in repr(seen)


async def test_a_header_of_a_similar_name_does_arrive(stack: LocalStack, client: Client) -> None:
    """
    The twin of the above, which would also hold if no header ever did.
    """
    _, seen = await ask(stack, client, "/open", headers=[("x-org-ids", "1"), ("x-org", "2")])

    assert seen is not None
    assert (seen.values("x-org-ids"), seen.values("x-org")) == (["1"], ["2"])


# -- credentials


CARRIED: Final[Mapping[str, tuple[str, Shown, bool, bool]]] = {
    "a user's": ("/app", {}, False, True),
    "a user's, stripped": ("/stripped", {}, False, False),
    "a service's": ("/internal/audio/7", "ml", True, False),
    "a service's, forwarded": ("/internal/carried", "ml", True, True),
}


@pytest.mark.parametrize(("path", "shown", "inside", "arrives"), CARRIED.values(), ids=CARRIED)
async def test_the_rule_says_whether_a_credential_goes_on(
    path: str, shown: Shown, stack: LocalStack, client: Client, *, inside: bool, arrives: bool
) -> None:
    _, seen = await ask(stack, client, path, shown, inside=inside)

    assert seen is not None
    assert arrives == bool(seen.values("authorization"))


@pytest.mark.parametrize(
    ("path", "others", "expected"),
    [
        ("/stripped", "a=b; {}; c=d", ["a=b; c=d"]),
        ("/stripped", "{}", []),
        ("/app", "a=b; {}", ["a=b; {}"]),
    ],
)
async def test_a_session_cookie_goes_on_where_the_token_would(
    path: str, others: str, expected: list[str], stack: LocalStack, client: Client
) -> None:
    cookie = f"__session={token(stack)}"

    _, seen = await ask(stack, client, path, headers=[("cookie", others.format(cookie))])

    assert seen is not None
    assert seen.values("clerk_user_id") == [USER]
    assert seen.values("cookie") == [each.format(cookie) for each in expected]


@pytest.mark.parametrize(
    ("path", "shown", "inside", "expected"),
    [
        ("/app", {}, False, f"user:{USER}"),
        ("/open", {}, False, "anonymous"),
        ("/maybe", None, False, "anonymous"),
        ("/internal/audio/7", "ml", True, "service:ml"),
        ("/internal/audio/7", "service", True, "service:static"),
    ],
)
async def test_the_upstream_is_told_as_whom_the_rule_let_it_in(
    path: str, shown: Shown, expected: str, stack: LocalStack, client: Client, *, inside: bool
) -> None:
    _, seen = await ask(stack, client, path, shown, inside=inside)

    assert seen is not None
    assert seen.values("wicketgate-principal") == [expected]


# -- shadow rules


async def test_a_shadow_rule_changes_nothing(stack: LocalStack, client: Client) -> None:
    """
    It would have denied, told the organization and kept the token.
    """
    became, seen = await ask(stack, client, "/watched", v2())

    assert became == "upstream /watched"
    assert seen is not None
    assert seen.values("x-org-id") == []
    assert seen.values("authorization")


@pytest.mark.parametrize(
    ("shown", "said", "verdict"),
    [(v2(), "role_not_admitted", "deny"), (ADMIN, "allowed", "allow")],
)
async def test_what_a_shadow_rule_would_have_said_is_kept(
    shown: Shown, said: str, verdict: str, stack: LocalStack, client: Client
) -> None:
    labels = {"rule": "watching", "verdict": verdict}
    before = await metric(stack, client, "wicketgate_shadow_checks_total", **labels)

    _, seen = await ask(stack, client, "/watched", shown)

    assert seen is not None
    logged = await decision_on(stack, seen)
    after = await metric(stack, client, "wicketgate_shadow_checks_total", **labels)
    assert (logged["verdict"], logged["rule"]) == ("allow", "watched")
    assert logged["shadows"] == {"watching": said}
    assert after - before == 1


# -- an operator who forgot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forgetful(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """Envoy was told neither what the policy sets nor that the gate may change cookies."""
    options = EnvoyOptions(shown_headers=("cookie",))
    async with running(tmp_path_factory.mktemp("forgetful"), options) as stack:
        yield stack


@pytest.mark.parametrize(
    ("path", "shown", "inside"),
    [
        pytest.param("/told", SAYS, False, id="to set it"),
        pytest.param("/told", {}, False, id="to remove it, for the token does not say"),
        pytest.param("/open", None, False, id="to remove it, for the rule does not set it"),
        pytest.param("/internal/audio/7", "ml", True, id="to remove it, for services"),
    ],
)
async def test_a_header_that_envoy_does_not_let_the_gate_change_stops_the_request(
    path: str, shown: Shown, forgetful: LocalStack, client: Client, *, inside: bool
) -> None:
    """
    Envoy answers 500 and says ``ext_authz_invalid`` in its access log. That is
    ``disallow_is_error``; without it, the client's own header would go on to the upstream.
    """
    became, seen = await ask(
        forgetful, client, path, shown, headers=[("x-org-id", ATTACKER)], inside=inside
    )

    assert became == "envoy 500"
    assert seen is None


async def test_so_does_a_cookie_that_the_gate_may_not_change(
    forgetful: LocalStack, client: Client
) -> None:
    cookie = ("cookie", f"__session={token(forgetful)}")

    became, _ = await ask(forgetful, client, "/stripped", headers=[cookie])

    assert became == "envoy 500"


async def test_a_denial_stays_one(forgetful: LocalStack, client: Client) -> None:
    became, _ = await ask(forgetful, client, "/role", {})

    assert became == "gate 403 role_not_admitted"


# -- who the mesh says it is


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vouching(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalStack]:
    """The internal listener asks for certificates."""
    folder = tmp_path_factory.mktemp("vouching")
    certificate, key = authority.server().write(folder, "envoy")
    (folder / "ca.pem").write_bytes(authority.certificate)
    peers = PeerTls(certificate=certificate, key=key, authority=folder / "ca.pem")
    async with running(folder, replace(AS_TOLD, peers=peers)) as stack:
        stack.internal = stack.internal.replace("http:", "https:")
        yield stack


def workload(authority: Authority, folder: Path, name: str | None) -> Client:
    """Return a client that shows the certificate of a workload, or none."""
    tls = ssl.create_default_context(cadata=authority.certificate.decode())
    if name is not None:
        tls.load_cert_chain(*authority.client(name).write(folder, "workload"))
    return Client(tls)


@pytest.mark.parametrize(
    ("name", "path", "shown", "expected"),
    [
        (PINNED, "/internal/audio/7", "pinned", "upstream /internal/audio/7"),
        (KNOWN, "/internal/audio/7", "pinned", "gate 403 service_principal_mismatch"),
        (KNOWN, "/internal/audio/7", "ml", "upstream /internal/audio/7"),
        (KNOWN, "/known", None, "upstream /known"),
        (PINNED, "/known", None, "gate 403 condition_not_met"),
        (None, "/known", None, "closed"),
    ],
)
async def test_a_certificate_says_which_workload_asks(
    name: str | None,
    path: str,
    shown: Shown,
    expected: str,
    vouching: LocalStack,
    authority: Authority,
    tmp_path: Path,
) -> None:
    """
    A header that says the same, sent by every one of them, does not.
    """
    said = [("x-forwarded-client-cert", f"URI={PINNED};URI={KNOWN}")]
    async with workload(authority, tmp_path, name) as client:
        became, _ = await ask(vouching, client, path, shown, headers=said, inside=True)

    assert expected == became


# -- the policy that is shipped


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shipped() -> AsyncIterator[LocalStack]:
    async with LocalStack(transport=TRANSPORT, policy=shipped_policy()) as stack:
        yield stack


@pytest.mark.parametrize(
    ("path", "shown", "inside", "expected"),
    [
        ("/meetings/7", {}, False, "upstream /meetings/7"),
        ("/meetings/7", None, False, "gate 401 no_credential"),
        ("/meetings/7", {"sts": "pending"}, False, "gate 401 session_pending"),
        ("/meetings/7", "service", False, "gate 401 token_malformed"),
        ("/meetings/7", {}, True, "gate 403 nobody_admitted"),
        ("/healthz", None, False, "upstream /healthz"),
        ("/public/pricing", None, False, "upstream /public/pricing"),
        ("/public/pricing", {}, False, "upstream /public/pricing"),
        ("/internal/audio/7", "service", True, "upstream /internal/audio/7"),
        ("/internal/audio/7", "service", False, "gate 401 token_malformed"),
        ("/internal/audio/7", {}, True, "gate 403 user_not_admitted"),
        ("/internal/audio/7", {}, False, "gate 403 nobody_admitted"),
        ("/internal/jobs", "service", True, "gate 403 nobody_admitted"),
        ("/internal/jobs", {}, False, "gate 403 nobody_admitted"),
    ],
)
async def test_the_shipped_policy_does_what_it_says(
    path: str, shown: Shown, expected: str, shipped: LocalStack, client: Client, *, inside: bool
) -> None:
    became, _ = await ask(shipped, client, path, shown, inside=inside)

    assert expected == became
