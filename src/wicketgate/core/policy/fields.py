"""The kinds of values that a policy file holds, each with its check and its JSON Schema."""

import re
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from wicketgate.core.identity import STRIPPED
from wicketgate.core.policy.claim_header import WORDS
from wicketgate.core.policy.condition import Condition, compile_condition
from wicketgate.core.policy.condition_text import ConditionError
from wicketgate.core.policy.host import HostPattern
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.policy.words import OrOne, Read
from wicketgate.core.user_facts import ROLE_PREFIX

_NAME: Final = r"[a-z0-9][a-z0-9._:-]{0,63}"
_METHOD: Final = r"[A-Z][A-Z0-9-]{0,31}"
_HEADER: Final = r"[a-z0-9][a-z0-9_-]{0,63}"
_CONTEXT_KEY: Final = r"[!-~]{1,128}"
_DURATION: Final = r"([0-9]{1,9})(s|m|h|d)"
_ROLE: Final = r"(?:org:)?[A-Za-z0-9_-]{1,128}"
_PERMISSION: Final = r"(?:org:|(?!org:))[A-Za-z0-9_-]{1,128}:[A-Za-z0-9_-]{1,128}"
_CLAIM: Final = r"claims\.[A-Za-z0-9_.:/-]{1,128}"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

_KINDS: Final = {
    "NoneType": "nothing",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "list": "a list",
    "dict": "a mapping",
}

_NOT_TO_BE_SET: Final = frozenset(
    {
        *("authorization", "connection", "content-length", "cookie", "forwarded", "host"),
        *("keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "x-request-id"),
        *(name.replace("_", "-") for name in STRIPPED),
    }
)
"""With dashes; some frameworks take a name with underscores for the same."""
_NOT_TO_BEGIN_WITH: Final = ("x-envoy-", "x-forwarded-")
_MAX_SEPARATORS: Final = 6
"""Clients may send no spelling of the header: of these there are 64, and of more, too many."""


def text(value: object) -> str:
    """Return `value` if it is text.

    Raises:
        ValueError: what was expected.
    """
    if isinstance(value, str):
        return value
    msg = f"expected text, not {_KINDS.get(type(value).__name__, 'this')}"
    if isinstance(value, int | float):
        msg += '; put it into quotes, "..."'
    raise ValueError(msg)


def _shaped(value: object, *, pattern: str, expected: str) -> str:
    word = text(value)
    if re.fullmatch(pattern, word, re.ASCII) is None:
        msg = f"expected {expected}"
        raise ValueError(msg)
    return word


def _shape(pattern: str, expected: str) -> Read:
    return Read(partial(_shaped, pattern=pattern, expected=expected), _string(expected, pattern))


def _listed(value: object) -> object:
    if value == [] or value is None:
        msg = "expected at least one; leave the key out to mean any"
        raise ValueError(msg)
    return tuple(value) if isinstance(value, list) else (value,)


def _string(expected: str, pattern: str | None = None, **more: object) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "description": expected, **more}
    return schema if pattern is None else {**schema, "pattern": f"^{pattern}$"}


def _role(value: object) -> str:
    role = _shaped(value, pattern=_ROLE, expected="a role such as org:admin")
    return role if role.startswith(ROLE_PREFIX) else ROLE_PREFIX + role


def _permission(value: object) -> str:
    expected = "a permission such as org:invoices:read"
    permission = _shaped(value, pattern=_PERMISSION, expected=expected)
    return permission if permission.startswith(ROLE_PREFIX) else ROLE_PREFIX + permission


def _duration(value: object) -> float:
    expected = "a time such as 30s, 10m, 12h or 7d"
    if not isinstance(value, str):
        msg = f"expected {expected}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic collects this one
    number, unit = re.match(
        _DURATION, _shaped(value, pattern=_DURATION, expected=expected)
    ).groups()  # type: ignore[union-attr] # just matched
    return float(number) * _SECONDS[unit]


def _set_header(value: object) -> str:
    name = _shaped(value, pattern=_HEADER, expected="a header in lower case, such as x-org-id")
    dashed = name.replace("_", "-")
    if dashed in _NOT_TO_BE_SET or dashed.startswith(_NOT_TO_BEGIN_WITH):
        msg = f"expected a header of your own; {name} is not the policy's to set"
        raise ValueError(msg)
    if dashed.count("-") > _MAX_SEPARATORS:
        msg = f"expected a header with at most {_MAX_SEPARATORS} dashes and underscores"
        raise ValueError(msg)
    return name


def _claim_source(value: object) -> str:
    source = text(value)
    if source not in WORDS and re.fullmatch(_CLAIM, source, re.ASCII) is None:
        msg = f"expected one of {', '.join(WORDS)}, or claims.<name>"
        raise ValueError(msg)
    return source


def _version(value: object) -> object:
    # To Python, `true` and 1.0 are 1; to the next version of this file they may not be.
    if type(value) is not int or value != 1:
        msg = "expected the number 1"
        raise ValueError(msg)
    return value


def _host(value: object) -> HostPattern:
    return HostPattern.parse(text(value))


def _path(value: object) -> PathTemplate:
    return PathTemplate.parse(text(value))


def _condition(value: object) -> Condition:
    try:
        return compile_condition(text(value))
    except ConditionError as error:
        msg = f"{error} (line {error.line}, column {error.column} of the expression)"
        raise ValueError(msg) from None


Version = Annotated[Literal[1], BeforeValidator(_version)]
Text = Annotated[str, Read(text, {"type": "string"})]
Name = Annotated[
    str,
    _shape(_NAME, "a name of lower-case letters, digits and . _ : -, at most 64 of them"),
]
Header = Annotated[str, _shape(_HEADER, "a header in lower case, such as x-debug")]
ContextKey = Annotated[str, _shape(_CONTEXT_KEY, "a key of context_extensions")]
Method = Annotated[str, _shape(_METHOD, "a method in upper case, such as GET")]
Role = Annotated[str, Read(_role, _string("a role such as org:admin", _ROLE))]
Permission = Annotated[
    str, Read(_permission, _string("a permission such as org:invoices:read", _PERMISSION))
]
Duration = Annotated[
    float, Read(_duration, _string("a time such as 30s, 10m, 12h or 7d", _DURATION))
]
SetHeader = Annotated[str, Read(_set_header, _string("a header of your own", _HEADER))]
ClaimSource = Annotated[
    str,
    Read(_claim_source, {"anyOf": [{"enum": list(WORDS)}, _string("any claim", _CLAIM)]}),
]
When = Annotated[
    Condition,
    Read(
        _condition,
        _string("a CEL condition over request, claims, user, service, source, path, context"),
    ),
]
Host = Annotated[
    HostPattern,
    Read(_host, _string("a host such as api.example.com or *.example.com")),
]
Path = Annotated[
    PathTemplate, Read(_path, _string("a template such as /orgs/{org_id}/items/**", "/.*"))
]

Hosts = Annotated[tuple[Host, ...], BeforeValidator(_listed), OrOne()]
Paths = Annotated[tuple[Path, ...], BeforeValidator(_listed), OrOne()]
Methods = Annotated[tuple[Method, ...], BeforeValidator(_listed), OrOne()]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed), OrOne()]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed), OrOne()]
Roles = Annotated[tuple[Role, ...], BeforeValidator(_listed), OrOne()]
Permissions = Annotated[tuple[Permission, ...], BeforeValidator(_listed), OrOne()]
Headers = Annotated[tuple[Header, ...], BeforeValidator(_listed), OrOne()]
