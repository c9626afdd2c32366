"""Random rules, requests and callers of a small world, in which they often meet."""

from typing import Final

from hypothesis import strategies as st

from tokens import NOW
from wicketgate.core.claims import Claims, SessionId, UserId
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.policy.condition import compile_condition
from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.rule import (
    ANY_SERVICE,
    ANY_USER,
    ClaimHeader,
    Credentials,
    Rule,
    Selector,
    ServiceTerms,
    UserTerms,
)
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.reason import Reason
from wicketgate.core.request import HttpRequest
from wicketgate.core.service_token import EVERY_SCOPE, ServiceToken
from wicketgate.core.token import MissingKey
from wicketgate.core.verdict import (
    Caller,
)

HOSTS: Final = ("x.com", "a.x.com", "b.a.x.com", "y.org")
PATTERNS: Final = (*HOSTS, "*.x.com", "*.a.x.com", "*.com")
METHODS: Final = ("GET", "POST", "PUT")
CONTEXT: Final = {"exposure": ("public", "internal"), "team": ("red", "green", "blue")}
HEADERS: Final = ("x-a", "x-b")

_DEFAULT: Final = Rule(name="default", users=(ANY_USER,))
_CONDITION: Final = compile_condition("request.method == 'GET'")
_IMPOSSIBLE: Final = compile_condition("claims.absent == 1")


def _some(words: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """Return none, most of the time, or some of `words`."""
    some = st.lists(st.sampled_from(words), unique=True, min_size=1, max_size=3).map(tuple)
    return st.just(()) | some


templates = st.builds(
    lambda parts, end: PathTemplate.parse("/" + "/".join([*parts, *end])),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)

selectors = st.builds(
    lambda hosts, methods, paths, context, headers: Selector(
        hosts=tuple(map(HostPattern.parse, hosts)),
        methods=methods,
        paths=tuple(paths),
        context={key: frozenset(values) for key, values in context.items()},
        headers=headers,
    ),
    hosts=_some(PATTERNS),
    methods=_some(METHODS),
    paths=st.lists(templates, min_size=1, max_size=3),
    context=st.fixed_dictionaries(
        {},
        optional={
            key: st.lists(st.sampled_from(values), min_size=1, unique=True)
            for key, values in CONTEXT.items()
        },
    ),
    headers=_some(HEADERS),
)

_users = st.sampled_from(
    [
        (),
        (ANY_USER,),
        (UserTerms(org_ids=frozenset({"org_1"})),),
        (UserTerms(actor=False), UserTerms(session_age=60.0)),
    ]
)
_services = st.sampled_from([(), (ANY_SERVICE,), (ServiceTerms(names=frozenset({"billing"})),)])

_rules = st.builds(
    Rule,
    name=st.just(""),
    selector=selectors,
    anonymous=st.booleans(),
    users=_users,
    services=_services,
    condition=st.sampled_from([None, None, None, _CONDITION, _IMPOSSIBLE]),
    headers=st.sampled_from([(), (ClaimHeader("x-org", "org_id"),)]),
    credentials=st.sampled_from([None, *Credentials]),
    is_shadow=st.sampled_from([False, False, False, True]),
)


def _named(rules: list[Rule]) -> tuple[Rule, ...]:
    parts = [(each, f"r{number}") for number, each in enumerate(rules)]
    return tuple(
        Rule(
            name=name,
            selector=each.selector,
            anonymous=each.anonymous,
            users=each.users,
            services=each.services,
            condition=each.condition,
            headers=each.headers,
            credentials=each.credentials,
            is_shadow=each.is_shadow,
        )
        for each, name in parts
    )


rules = st.lists(_rules, max_size=8).map(_named)
"""Rules with names of their own."""

policies = rules.map(
    lambda each: RulePolicy(each, default=_DEFAULT, any_target_hosts=(HostPattern.parse("y.org"),))
)

requests = st.builds(
    HttpRequest,
    method=st.sampled_from([*METHODS, "DELETE"]),
    host=st.sampled_from(["", *HOSTS, "A.X.com:443", "z.net", "not a host"]),
    target=st.builds(
        lambda parts, end: "/" + "/".join(parts) + end,
        st.lists(st.sampled_from(["a", "b", "c"]), max_size=4),
        st.sampled_from(["", "", "/", "?q", "//"]),
    ),
    headers=_some(HEADERS).map(lambda names: dict.fromkeys(names, "1")),
    context=st.fixed_dictionaries(
        {},
        optional={
            "exposure": st.sampled_from(["public", "internal", "internal", "misspelt"]),
            "team": st.sampled_from(CONTEXT["team"]),
        },
    ),
)


def claims(**document: object) -> Claims:
    """Return verified claims, minted a minute before `NOW`."""
    return Claims(
        user_id=UserId("user_1"),
        session_id=SessionId("sess_1"),
        issued_at=NOW - 60,
        not_before=NOW - 60,
        expires_at=NOW,
        document={"sub": "user_1", "v": 2, **document},
    )


def service(name: str = "billing", *scopes: str) -> ServiceToken:
    """Return a token for `scopes`, or for everything."""
    return ServiceToken(name=name, digest=b"", scopes=frozenset(scopes or {EVERY_SCOPE}))


callers: st.SearchStrategy[Caller] = st.sampled_from(
    [
        NO_CREDENTIAL,
        Reason.TOKEN_EXPIRED,
        MissingKey("kid", if_current=Reason.KEY_UNKNOWN, if_stale=Reason.KEYS_UNAVAILABLE),
        claims(),
        claims(o={"id": "org_1"}, fva=[0, -1]),
        claims(act={"sub": "user_2"}),
        service(),
        service("ml", "audio"),
    ]
)
