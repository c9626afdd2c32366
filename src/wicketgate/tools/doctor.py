"""``wicketgate doctor``: reads what it is given, has it examined, and reports.

By default nothing but files is read: a doctor in a pipeline must say the same each
time, and needs neither Clerk nor a database. What is asked over the network, beside
the URL of an admin port that was given, is asked on demand only (``is_online``).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TextIO
from urllib.parse import urlsplit

from wicketgate.adapters.http_get import HttpAnswer
from wicketgate.core.policy.source import SourceError
from wicketgate.doctor.documents import Document, Locator, documents_in
from wicketgate.doctor.examine import Scope, UnknownDocumentError, examine
from wicketgate.errors import ConfigurationError, DependencyError
from wicketgate.tools.doctor_environment import Environment, environment_faults, online_faults
from wicketgate.tools.doctor_report import Finding, finding_in, finding_of_environment, report
from wicketgate.tools.policy_text import text_of

FOUND: Final = 1

_DUMP: Final = "/config_dump"
_SCHEMES: Final = ("http://", "https://")

Fetch = Callable[[str], Awaitable[HttpAnswer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a run reads and asks; tests have their own.

    Attributes:
        environ: The environment.
        stdin: Read for ``-`` only.
        fetch: Gets a URL.
        pending: Names the migrations that a database lacks; its URL, its schema.
        clock: POSIX seconds.
    """

    environ: Mapping[str, str]
    stdin: BinaryIO
    fetch: Fetch
    pending: Callable[[str, str], Awaitable[list[str]]]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants of a run.

    Attributes:
        sources: Files, ``-``, and URLs of admin ports.
        scope: What the files do not say themselves.
        ignored: Rules that do not count.
        is_online: Ask Clerk and the database, too.
        is_strict: Warnings count.
        as_json: Write one JSON object instead of lines.
    """

    sources: Sequence[str]
    scope: Scope = field(default_factory=Scope)
    ignored: frozenset[str] = frozenset()
    is_online: bool = False
    is_strict: bool = False
    as_json: bool = False


async def run_doctor(wish: Wish, outside: Outside, *, out: TextIO) -> int:
    """Examine everything and write what was found.

    Returns:
        The exit status: 0 nothing that counts, 1 something.

    Raises:
        ConfigurationError: a file cannot be read, an admin port does not answer, or
            there is nothing to examine.
    """
    environment = Environment.read(outside.environ)
    scope = Scope(wish.scope.version, (*wish.scope.identity, *environment.aliases))
    findings: list[Finding] = []
    for source in wish.sources:
        text = await _text_of(source, outside)
        findings += _examined(_name_of(source), text, scope)
    faults = list(environment_faults(environment))
    if wish.is_online:
        faults += await online_faults(
            environment, fetch=outside.fetch, pending=outside.pending, clock=outside.clock
        )
    findings += map(finding_of_environment, faults)
    counted = [each for each in findings if each.rule.id not in wish.ignored]
    names = tuple(map(_name_of, wish.sources))
    report(counted, sources=names, out=out, as_json=wish.as_json)
    return FOUND if any(each.is_error or wish.is_strict for each in counted) else 0


async def _text_of(source: str, outside: Outside) -> str:
    if not source.startswith(_SCHEMES):
        return text_of(Path(source), outside.stdin)
    url = source if _DUMP in source else source.rstrip("/") + _DUMP
    try:
        answer = await outside.fetch(url)
        return answer.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = f"{_name_of(source)}: answered with something that is not text"
        raise ConfigurationError(msg) from None
    except DependencyError as error:
        # Like a file that cannot be read: status 1 is for what was found.
        raise ConfigurationError(str(error)) from None


def _name_of(source: str) -> str:
    """Return a source as it may be shown: a URL without its password and its query."""
    if not source.startswith(_SCHEMES):
        return source
    try:
        parts = urlsplit(source)
    except ValueError:
        return "the URL"
    netloc = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=netloc, query="", fragment="").geturl()


def _examined(source: str, text: str, scope: Scope) -> list[Finding]:
    documents = _documents(source, text)
    values = [each.value for each in documents]
    try:
        faults = examine(values, scope)
    except UnknownDocumentError:
        msg = (
            f"{source}: holds nothing to examine; expected an Envoy bootstrap or config_dump, "
            "or manifests of Istio or Envoy Gateway"
        )
        raise ConfigurationError(msg) from None
    locator = Locator(documents)
    found = [finding_in(source, fault, locator, values) for fault in faults]
    return sorted(found, key=lambda each: (each.line, each.column))


def _documents(source: str, text: str) -> tuple[Document, ...]:
    try:
        return documents_in(text)
    except SourceError as error:
        msg = f"{source}:{error.position}: {error}"
        raise ConfigurationError(msg) from None
