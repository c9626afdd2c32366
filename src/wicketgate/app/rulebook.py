"""The policy and the service tokens that a gate judges by, read from their files."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wicketgate.adapters.text_file import read_text, read_text_and_digest
from wicketgate.app.traces import require_opentelemetry
from wicketgate.core.claims import TokenRules
from wicketgate.core.decision import (
    Judge,
)
from wicketgate.core.policy.routes import RULE_NAMES, RoutePolicy
from wicketgate.core.policy.rule import Policy
from wicketgate.core.record import DecisionDetail
from wicketgate.core.service_token import ServiceToken, ServiceTokens
from wicketgate.core.token import TokenVerifier
from wicketgate.errors import ConfigurationError
from wicketgate.gate import Rulebook
from wicketgate.settings import AuthzSettings
from wicketgate.settings.tls_files import require_usable

if TYPE_CHECKING:
    from wicketgate.core.policy.parse import Mistake


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """What one reading of all files gave.

    Attributes:
        rulebook: What the gate judges by.
        settings: The settings, with the secrets of their files as they were then.
        rules: How many rules the policy has; `None` without a policy file.
        tokens: How many service tokens there are.
        rule_names: What its rules are called: the default first, then in order.
        token_names: What the tokens are called.
        digest: The SHA-256 of the policy file, in hexadecimal; empty without one.
    """

    rulebook: Rulebook
    settings: AuthzSettings
    rules: int | None
    tokens: int
    rule_names: tuple[str, ...]
    token_names: tuple[str, ...]
    digest: str


def rules_of_tokens(settings: AuthzSettings) -> TokenRules:
    """Return which tokens are acceptable before any rule is asked.

    With a policy file it is the rules that say whether pending sessions and
    impersonated users count; what the settings say is what they mean by default.
    """
    if settings.policy_file is None:
        return settings.rules
    return replace(settings.rules, pending_sessions=True, impersonation=True)


def check_rules(environ: Mapping[str, str]) -> None:
    """Read the settings and every file that they name, and forget them.

    Raises:
        ConfigurationError: as `load_rules` does.
    """
    settings = AuthzSettings.from_environ(environ)
    rules_from(settings, TokenVerifier(rules_of_tokens(settings)))


def load_rules(environ: Mapping[str, str], verifier: TokenVerifier) -> LoadedRules:
    """Read the settings and every file that they name.

    Raises:
        ConfigurationError: one line for every mistake, none with a secret.
    """
    return rules_from(AuthzSettings.from_environ(environ), verifier)


def rules_from(settings: AuthzSettings, verifier: TokenVerifier) -> LoadedRules:
    """Read every file that the settings name, but for secrets, which they hold already.

    Raises:
        ConfigurationError: as `load_rules` does.
    """
    mistakes: list[str] = []
    if settings.tls is not None:
        _collect(mistakes, partial(require_usable, settings.tls))
    if settings.traces is not None:
        _collect(mistakes, require_opentelemetry)
    policy = _collect(mistakes, partial(_policy, settings))
    named = _collect(mistakes, partial(_named_tokens, settings.service_tokens_file))
    if policy is None or named is None or mistakes:
        raise ConfigurationError(*mistakes)
    tokens = ServiceTokens(settings.service_tokens, named)
    judge = Judge(
        verifier=verifier,
        service_tokens=tokens,
        cookies=settings.cookies,
        always_identify=settings.decision_detail is DecisionDetail.REPLAY,
    )
    return LoadedRules(
        rulebook=Rulebook(judge, policy.policy, policy.claims),
        settings=settings,
        rules=policy.count,
        tokens=len(settings.service_tokens) + len(named),
        rule_names=policy.names,
        token_names=tokens.names,
        digest=policy.digest,
    )


@dataclass(frozen=True, slots=True)
class _ReadPolicy:
    policy: Policy
    names: tuple[str, ...]
    claims: frozenset[str] = frozenset()
    count: int | None = None
    digest: str = ""


def _policy(settings: AuthzSettings) -> _ReadPolicy:
    if settings.policy_file is None:
        return _ReadPolicy(RoutePolicy(), RULE_NAMES)
    text, digest = read_text_and_digest(settings.policy_file)
    # Imported late: a gate without a policy file need not have pydantic in memory.
    from wicketgate.core.policy.parse import Defaults, PolicyError, parse_policy  # noqa: PLC0415

    defaults = Defaults(
        actor=settings.rules.impersonation,
        pending=settings.rules.pending_sessions,
        reserved_headers=frozenset(settings.identity_aliases),
    )
    try:
        with _collector_paused():
            parsed = parse_policy(text, defaults)
    except PolicyError as error:
        raise _mistakes_in(settings.policy_file, error.mistakes) from None
    rules = parsed.policy.rules
    names = tuple(rule.name for rule in (parsed.policy.default, *rules))
    return _ReadPolicy(parsed.policy, names, parsed.claims, len(rules), digest)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking, again and again, over rules that all stay.

    It is a third of the time that ten thousand of them take.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _named_tokens(path: Path | None) -> tuple[ServiceToken, ...]:
    if path is None:
        return ()
    text = read_text(path)
    # Imported late, as above.
    from wicketgate.core.policy.parse import PolicyError  # noqa: PLC0415
    from wicketgate.core.service_token_file import parse_service_tokens  # noqa: PLC0415

    try:
        return parse_service_tokens(text)
    except PolicyError as error:
        raise _mistakes_in(path, error.mistakes) from None


def _mistakes_in(path: Path, mistakes: "Iterable[Mistake]") -> ConfigurationError:
    return ConfigurationError(*(f"{path}:{each.position}: {each.message}" for each in mistakes))


Value = TypeVar("Value")


def _collect(mistakes: list[str], read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except ConfigurationError as error:
        mistakes.extend(error.mistakes)
        return None
