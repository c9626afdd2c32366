"""The tests beside a policy: a request, who sends it, and what should become of it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from wicketgate.core.policy import fields
from wicketgate.core.policy.words import OrName, OrWord, Said, Words


class RequestWords(Words):
    """The request of a test."""

    method: fields.Method = "GET"
    host: fields.Text = ""
    path: Annotated[fields.Text, Field(description="with its query, if it has one")]
    context: Annotated[
        dict[fields.ContextKey, fields.Text],
        Field(default_factory=dict, description="the route's context_extensions"),
    ]
    headers: Annotated[dict[fields.Header, fields.Text], Field(default_factory=dict)]
    source: Annotated[fields.Text, Field(description="the mesh principal, from mTLS")] = ""


class ServiceCallerWords(Words):
    """A service, by what its token says."""

    name: fields.Name
    scopes: fields.Texts = ("*",)
    principal: Annotated[
        fields.Text, Field(description="the mesh principal that alone may use its token")
    ] = ""


def _service(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class CallerWords(Words):
    """Who sends the request: exactly one of the keys."""

    claims: Annotated[dict[str, Any] | None, Said()] = None
    service: Annotated[ServiceCallerWords | None, Said(), BeforeValidator(_service), OrName()] = (
        None
    )
    refused: Annotated[
        fields.Text | None,
        Said(),
        Field(description="the reason for which the credential is refused"),
    ] = None


def _caller(value: object) -> object:
    if value == "anonymous":
        return {}
    if value == "user":
        return {"claims": {}}
    if isinstance(value, dict) and len(value) == 1:
        return value
    msg = "expected anonymous, user, or one of claims: {...}, service: NAME, refused: REASON"
    raise ValueError(msg)


class ExpectWords(Words):
    """What should become of it; what is left out does not matter."""

    decision: Literal["allow", "deny"]
    rule: Annotated[fields.Text | None, Said()] = None
    reason: Annotated[fields.Text | None, Said()] = None
    status: Annotated[int | None, Said()] = None
    principal: Annotated[fields.Text | None, Said()] = None
    headers: Annotated[
        dict[str, fields.Text | None],
        Field(
            default_factory=dict,
            description="headers that the upstream is told; null: it is not told",
        ),
    ]
    shadows: Annotated[
        dict[str, fields.Text],
        Field(default_factory=dict, description="for each shadow rule: allowed, or its reason"),
    ]


def _expected(value: object) -> object:
    return {"decision": value} if isinstance(value, str) else value


class CaseWords(Words):
    """One test."""

    name: Annotated[fields.Text, Field(description="what it shows")]
    request: RequestWords
    caller: Annotated[
        CallerWords, BeforeValidator(_caller), Field(alias="as"), OrWord("anonymous", "user")
    ] = CallerWords()
    expect: Annotated[ExpectWords, BeforeValidator(_expected), OrWord("allow", "deny")]


class CasesWords(Words):
    """A file of nothing but tests."""

    tests: list[CaseWords]
