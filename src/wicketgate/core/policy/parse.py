"""From the text of a policy file to a policy, or to every mistake in it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import re2

from wicketgate.core.identity import spellings_of
from wicketgate.core.policy.case_document import CasesWords, CaseWords
from wicketgate.core.policy.document import (
    DEFAULT_RULE,
    AllowWords,
    MatchWords,
    Neighbours,
    PolicyWords,
    RuleWords,
    UserWords,
)
from wicketgate.core.policy.reading import (
    MAX_MISTAKES,
    Mistake,
    PolicyError,
    read_words,
)
from wicketgate.core.policy.rule import (
    ClaimHeader,
    Credentials,
    Rule,
    Selector,
    ServiceTerms,
    UserTerms,
)
from wicketgate.core.policy.rules import RulePolicy
from wicketgate.core.policy.source import Position

__all__ = [
    "DEFAULT_RULE",
    "MAX_MISTAKES",
    "USUAL",
    "Defaults",
    "Mistake",
    "ParsedPolicy",
    "PolicyError",
    "parse_cases",
    "parse_policy",
]

Removed = Callable[[frozenset[str]], tuple[str, ...]]
"""Returns what a client may not send to a rule that sets these headers itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a rule means that does not say.

    Attributes:
        actor: Impersonated users count.
        pending: Pending sessions count.
        reserved_headers: Names that no rule may set, in lower case.
    """

    actor: bool = True
    pending: bool = False
    reserved_headers: frozenset[str] = frozenset()


USUAL: Final = Defaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPolicy:
    """A policy, and what its file says beside it.

    Attributes:
        policy: Finds rules.
        claims: Claims that its conditions and headers read, beside those of Clerk.
        cases: The tests in the same file.
        text: The file, for positions.
    """

    policy: RulePolicy
    claims: frozenset[str]
    cases: tuple[CaseWords, ...]
    text: str


def parse_policy(text: str, defaults: Defaults = USUAL) -> ParsedPolicy:
    """Return the policy that `text` is.

    Raises:
        PolicyError: every mistake in it.
    """
    words = read_words(PolicyWords, text, context=Neighbours.of(defaults.reserved_headers))
    # What is in the shadow decides nothing, not even what clients may send.
    deciding = (rule for rule in words.rules if not rule.shadow)
    removed = _removed(name for rule in deciding for name in rule.headers)
    rules = [_rule(rule, defaults, removed) for rule in words.rules]
    default = _default(words, defaults, removed)
    try:
        policy = RulePolicy(rules, default=default, any_target_hosts=words.any_targets)
    except re2.error:
        # Of what is valid, only more than fits into the automaton's memory.
        msg = "rules: are too many, or too long, to be matched together; expected fewer"
        raise PolicyError([Mistake(Position(1, 1), msg)]) from None
    return ParsedPolicy(
        policy=policy,
        claims=frozenset(_claims(words.rules)),
        cases=tuple(words.tests),
        text=text,
    )


def parse_cases(text: str) -> tuple[CaseWords, ...]:
    """Return the tests of a file that holds nothing else.

    Raises:
        PolicyError: every mistake in it.
    """
    return tuple(read_words(CasesWords, text).tests)


def _rule(words: RuleWords, defaults: Defaults, removed: Removed) -> Rule:
    return Rule(
        name=words.name,
        selector=_selector(words.match),
        anonymous=any(each.anonymous for each in words.allow),
        users=tuple(_users(words.allow, defaults)),
        services=tuple(_services(words.allow)),
        condition=words.when,
        headers=tuple(ClaimHeader(name, source) for name, source in words.headers.items()),
        removed_headers=removed(frozenset(words.headers)),
        credentials=None if words.credentials is None else Credentials(words.credentials),
        is_shadow=words.shadow,
    )


def _default(words: PolicyWords, defaults: Defaults, removed: Removed) -> Rule:
    users = (_terms(UserWords(), defaults),) if words.default == "user" else ()
    return Rule(name=DEFAULT_RULE, users=users, removed_headers=removed(frozenset()))


def _selector(words: MatchWords) -> Selector:
    context = {key: frozenset(values) for key, values in words.context.items()}
    parts = {"paths": words.paths} if words.paths else {}
    return Selector(
        hosts=words.hosts,
        methods=words.methods,
        context=context,
        headers=words.headers,
        **parts,
    )


def _users(allow: Iterable[AllowWords], defaults: Defaults) -> Iterator[UserTerms]:
    for each in allow:
        if each.user is not None:
            yield _terms(each.user, defaults)


def _terms(words: UserWords, defaults: Defaults) -> UserTerms:
    return UserTerms(
        org_ids=frozenset(words.org_id),
        org_roles=frozenset(words.org_role),
        org_permissions=frozenset(words.org_permission),
        session_age=words.session_age,
        second_factor_age=words.second_factor_age,
        actor=defaults.actor if words.actor is None else words.actor == "allow",
        pending=defaults.pending if words.pending is None else words.pending == "allow",
    )


def _services(allow: Iterable[AllowWords]) -> Iterator[ServiceTerms]:
    for each in allow:
        if each.service is not None:
            yield ServiceTerms(
                names=frozenset(each.service.name), scopes=frozenset(each.service.scope)
            )


def _removed(headers: Iterable[str]) -> Removed:
    """Return what makes, of `headers` in every spelling, those that a rule does not set."""
    spellings = frozenset(each for name in set(headers) for each in spellings_of(name))

    @cache
    def removed(own: frozenset[str]) -> tuple[str, ...]:
        return tuple(sorted(spellings - own))

    return removed


def _claims(rules: Iterable[RuleWords]) -> Iterator[str]:
    for rule in rules:
        if rule.when is not None:
            yield from rule.when.claims
        for source in rule.headers.values():
            if source.startswith("claims."):
                yield source.removeprefix("claims.")
