"""The tests of a policy, from their files to what came of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wicketgate.adapters.text_file import read_text
from wicketgate.core.policy.case_document import CaseWords
from wicketgate.core.policy.cases import CaseResult, Coverage, coverage_of, misspelt, run_cases
from wicketgate.core.policy.parse import ParsedPolicy, parse_cases, parse_policy
from wicketgate.core.policy.reading import Mistake, PolicyError
from wicketgate.core.policy.source import position_of, positions_in
from wicketgate.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class LocatedResult:
    """What came of one test, and where that stands.

    Attributes:
        file: The name of the file.
        line: From 1.
        result: What came of it.
    """

    file: str
    line: int
    result: CaseResult

    @property
    def name(self) -> str:
        """What the test shows."""
        return self.result.case.name

    @property
    def is_passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.result.failures


@dataclass(frozen=True, slots=True)
class LocatedCoverage:
    """How well one rule is tested, and where that stands.

    Attributes:
        line: From 1; `None` for the default.
        coverage: How well.
    """

    line: int | None
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """What came of all tests of a policy.

    Attributes:
        policy: The name of its file.
        results: In the order of the files, and of the tests in them.
        rules: In the order of the policy, its default last.
    """

    policy: str
    results: tuple[LocatedResult, ...]
    rules: tuple[LocatedCoverage, ...]

    @property
    def failed(self) -> tuple[LocatedResult, ...]:
        """The tests that are not passed."""
        return tuple(each for each in self.results if not each.is_passed)

    @property
    def missing(self) -> tuple[LocatedCoverage, ...]:
        """The rules that no test asks."""
        return tuple(each for each in self.rules if each.coverage.is_missing)


@dataclass(frozen=True, slots=True)
class _CaseFile:
    name: str
    text: str
    cases: tuple[CaseWords, ...]


def report_on(policy: Path, cases: Sequence[Path]) -> CaseReport:
    """Run the tests of a policy: those in its file, and those in further files.

    Raises:
        ConfigurationError: a line for every file that cannot be read, and for every
            mistake in the others.
    """
    mistakes: list[str] = []
    parsed = _parsed_policy(policy, mistakes)
    files = [] if parsed is None else [_CaseFile(str(policy), parsed.text, parsed.cases)]
    files += [file for path in cases for file in _case_file(path, mistakes)]
    mistakes += [mistake for file in files for mistake in _misspelt_in(file)]
    if parsed is None or mistakes:
        raise ConfigurationError(*mistakes)
    results = tuple(result for file in files for result in _results(parsed, file))
    return CaseReport(policy=str(policy), results=results, rules=_coverage(parsed, results))


def _parsed_policy(path: Path, mistakes: list[str]) -> ParsedPolicy | None:
    try:
        return parse_policy(read_text(path))
    except ConfigurationError as error:
        mistakes += error.mistakes
    except PolicyError as error:
        mistakes += _lines(path, error.mistakes)
    return None


def _case_file(path: Path, mistakes: list[str]) -> Iterator[_CaseFile]:
    try:
        text = read_text(path)
        yield _CaseFile(str(path), text, parse_cases(text))
    except ConfigurationError as error:
        mistakes += error.mistakes
    except PolicyError as error:
        mistakes += _lines(path, error.mistakes)


def _lines(path: Path, mistakes: Iterable[Mistake]) -> list[str]:
    return [f"{path}:{each.position}: {each.message}" for each in mistakes]


def _misspelt_in(file: _CaseFile) -> Iterator[str]:
    found = list(misspelt(file.cases))
    # Looking up positions reads the text once more.
    positions = positions_in(file.text) if found else {}
    for place, message in found:
        yield f"{file.name}:{position_of(positions, place)}: {place[-1]}: {message}"


def _results(parsed: ParsedPolicy, file: _CaseFile) -> Iterator[LocatedResult]:
    positions = positions_in(file.text)
    for index, result in enumerate(run_cases(parsed, file.cases)):
        line = position_of(positions, ("tests", index)).line
        yield LocatedResult(file.name, line, result)


def _coverage(
    parsed: ParsedPolicy, results: Iterable[LocatedResult]
) -> tuple[LocatedCoverage, ...]:
    positions = positions_in(parsed.text)
    found = coverage_of(parsed.policy, [each.result for each in results])
    return tuple(
        LocatedCoverage(
            None if each.index is None else position_of(positions, ("rules", each.index)).line,
            each,
        )
        for each in found
    )
