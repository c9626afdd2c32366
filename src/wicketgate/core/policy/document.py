"""The policy file: its words, and nothing but its words.

Each class is one mapping of the file. What is not a word of the file is refused,
because a misspelt key would otherwise be a demand that nobody makes. The JSON
Schema that editors complete from is made of these classes.

What one part of a file must not be because of another is checked here, too, by
what `Neighbours` remembers: so all mistakes are found in one reading.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from wicketgate.core.identity import spellings_of
from wicketgate.core.policy import fields
from wicketgate.core.policy.case_document import CaseWords
from wicketgate.core.policy.condition import Condition
from wicketgate.core.policy.words import OrOne, OrWord, Said, Words

VERSION: Final = 1
DEFAULT_RULE: Final = "default"
MAX_RULES: Final = 20_000
"""Of twice as many no automaton can be made that fits into its memory."""
MAX_HEADERS: Final = 64
"""Every answer that lets a request in has all of them, in all their spellings."""


@dataclass(slots=True)
class Neighbours:
    """The context of one reading of a `PolicyWords`.

    Attributes:
        reserved: Headers that no rule may set, in every spelling.
        names: Names that are taken, of rules.
        headers: Headers that rules set.
    """

    reserved: frozenset[str]
    names: set[str] = field(default_factory=lambda: {DEFAULT_RULE})
    headers: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, reserved_headers: Iterable[str]) -> "Neighbours":
        """Return those of a reading that has only begun."""
        return cls(frozenset(each for name in reserved_headers for each in spellings_of(name)))


class MatchWords(Words):
    """Which requests a rule is about; a key that is left out fits all."""

    hosts: Annotated[fields.Hosts, Field(description="any of these hosts")] = ()
    methods: Annotated[fields.Methods, Field(description="any of these methods")] = ()
    paths: Annotated[fields.Paths, Field(description="any of these path templates")] = ()
    context: Annotated[
        dict[fields.ContextKey, fields.Texts],
        Field(
            default_factory=dict,
            description="the route's context_extensions: each key has any of these values",
        ),
    ]
    headers: Annotated[
        fields.Headers, Field(description="headers that are present, all of them")
    ] = ()


class UserWords(Words):
    """What a user must be; all of it."""

    org_id: Annotated[fields.Texts, Field(description="any of these organizations")] = ()
    org_role: Annotated[fields.Roles, Field(description="any of these roles in it")] = ()
    org_permission: Annotated[
        fields.Permissions, Field(description="any of these permissions in it")
    ] = ()
    session_age: Annotated[
        fields.Duration | None,
        Said(),
        Field(description="at most this long since the first factor"),
    ] = None
    second_factor_age: Annotated[
        fields.Duration | None,
        Said(),
        Field(description="at most this long since the second factor"),
    ] = None
    actor: Annotated[
        Literal["allow", "deny"] | None, Said(), Field(description="impersonated users")
    ] = None
    pending: Annotated[
        Literal["allow", "deny"] | None,
        Said(),
        Field(description="sessions that wait for the user"),
    ] = None


class ServiceWords(Words):
    """What a service must be; all of it."""

    name: Annotated[fields.Names, Field(description="its token has any of these names")] = ()
    scope: Annotated[
        fields.Names,
        Field(description="its token has any of these scopes; left out: the rule's name"),
    ] = ()


class AllowWords(Words):
    """One way of being let in: exactly one of the keys."""

    anonymous: Literal[True] | None = None
    user: UserWords | None = None
    service: ServiceWords | None = None


_ALTERNATIVES: Final = ("anonymous", "user", "service")
_EXPECTED: Final = "expected anonymous, user, service, or a mapping with one of user and service"


def _alternative(value: object) -> object:
    if isinstance(value, str) and value in _ALTERNATIVES:
        return {value: True if value == "anonymous" else {}}
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= {"user", "service"}:
        key, terms = next(iter(value.items()))
        return {key: {} if terms is None else terms}
    raise ValueError(_EXPECTED)


def _alternatives(value: object) -> object:
    return value if isinstance(value, list) else [value]


Alternative = Annotated[AllowWords, BeforeValidator(_alternative), OrWord(*_ALTERNATIVES)]
Alternatives = Annotated[list[Alternative], BeforeValidator(_alternatives), OrOne()]


def _everything() -> MatchWords:
    return MatchWords.model_validate({})


def _neighbours(info: ValidationInfo) -> Neighbours:
    """Return the context, which whoever reads a policy gives."""
    return cast("Neighbours", info.context)


def _new_name(name: str, info: ValidationInfo) -> str:
    names = _neighbours(info).names
    if name in names:
        taken = "is what the default is called" if name == DEFAULT_RULE else "is taken"
        msg = f"{name} {taken}; expected another"
        raise ValueError(msg)
    names.add(name)
    return name


def _own_header(name: str, info: ValidationInfo) -> str:
    neighbours = _neighbours(info)
    if name in neighbours.reserved:
        msg = "carries the identity; expected another"
        raise ValueError(msg)
    neighbours.headers.add(name)
    if len(neighbours.headers) > MAX_HEADERS:
        msg = f"expected at most {MAX_HEADERS} different headers in all rules"
        raise ValueError(msg)
    return name


def _readable(condition: Condition, info: ValidationInfo) -> Condition:
    """Return a condition that reads no segment which a path of its rule lacks."""
    match = info.data.get("match")
    if match is None or not condition.parameters:
        return condition
    named = [{name for name, _ in path.names} for path in match.paths]
    everywhere: set[str] = set.intersection(*named) if named else set()
    missing = sorted(condition.parameters - everywhere)
    if missing:
        read = ", ".join(f"path.{name}" for name in missing)
        wanted = ", ".join(f"{{{name}}}" for name in missing)
        msg = f"reads {read}; expected {wanted} in every path of the rule"
        raise ValueError(msg)
    return condition


def _few(value: object) -> object:
    if isinstance(value, list) and len(value) > MAX_RULES:
        msg = f"expected at most {MAX_RULES} rules, not {len(value)}"
        raise ValueError(msg)
    return value


class RuleWords(Words):
    """One rule. The first whose `match` fits decides."""

    name: Annotated[
        fields.Name, AfterValidator(_new_name), Field(description="unique; in logs and metrics")
    ]
    description: Annotated[fields.Text, Field(description="for readers")] = ""
    match: Annotated[
        MatchWords, Field(default_factory=_everything, description="which requests; left out: all")
    ]
    allow: Annotated[
        Alternatives, Field(description="who is let in: any of these; an empty list is nobody")
    ]
    when: Annotated[
        fields.When | None,
        Said(),
        AfterValidator(_readable),
        Field(description="what must be true beside that"),
    ] = None
    headers: Annotated[
        dict[Annotated[fields.SetHeader, AfterValidator(_own_header)], fields.ClaimSource],
        Field(
            default_factory=dict,
            description="headers for the upstream, and what of the user they tell",
        ),
    ]
    credentials: Annotated[
        Literal["forward", "strip"] | None,
        Said(),
        Field(description="whether the upstream gets the credential"),
    ] = None
    shadow: Annotated[
        bool, Field(description="decides nothing; what it would have said is recorded")
    ] = False


class PolicyWords(Words):
    """A policy of wicketgate: who may do what in the mesh. See docs/policy.md."""

    version: fields.Version
    default: Annotated[
        Literal["deny", "user"], Field(description="what decides when no rule fits")
    ] = "deny"
    any_targets: Annotated[
        fields.Hosts,
        Field(description="hosts whose ambiguous request targets are judged as they are"),
    ] = ()
    rules: Annotated[
        list[RuleWords],
        BeforeValidator(_few),
        Field(description="top to bottom; the first that fits decides"),
    ]
    tests: Annotated[
        list[CaseWords],
        Field(default_factory=list, description="requests and what should become of them"),
    ]
