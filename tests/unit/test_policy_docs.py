"""docs/policy.md says what is so: each of its examples is run, and nothing is left out.

What an example is for stands behind its fence: ``yaml file=policy.yaml`` is also
put where the commands after it find it, ``console exit=1`` ends with that status.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import pytest
import re2
import yaml
from aiohttp import ClientSession

from conformance.table import World
from processes import environ, gate
from tokens import NOW, claims_of
from wicketgate.adapters.telemetry import MAX_LINE
from wicketgate.adapters.text_file import MAX_BYTES
from wicketgate.core.credential import NO_CREDENTIAL
from wicketgate.core.decision import (
    judge_known,
)
from wicketgate.core.identity import spellings_of
from wicketgate.core.policy import claim_header, condition, condition_text, document, source
from wicketgate.core.policy.case_document import (
    CallerWords,
    CasesWords,
    CaseWords,
    ExpectWords,
    RequestWords,
    ServiceCallerWords,
)
from wicketgate.core.policy.cases import run_cases
from wicketgate.core.policy.document import (
    AllowWords,
    MatchWords,
    PolicyWords,
    RuleWords,
    ServiceWords,
    UserWords,
)
from wicketgate.core.policy.parse import parse_policy
from wicketgate.core.policy.reading import MAX_MISTAKES, Mistake, PolicyError
from wicketgate.core.policy.recorded import RecordedDecision, read_line
from wicketgate.core.policy.routes import Admission, RoutePolicy
from wicketgate.core.policy.rule import Exposure, Policy
from wicketgate.core.policy.template import PathTemplate
from wicketgate.core.policy.variables import USER_FIELDS, variables_of
from wicketgate.core.policy.words import Words
from wicketgate.core.reason import ANSWERS, Reason
from wicketgate.core.record import MAX_SHADOWS, Record, fields_of
from wicketgate.core.replay_record import Replay
from wicketgate.core.request import MAX_PATH, HttpRequest
from wicketgate.core.service_token import ServiceToken
from wicketgate.core.service_token_file import MAX_TOKENS, parse_service_tokens
from wicketgate.core.verdict import (
    Allow,
    Caller,
    Deny,
)
from wicketgate.settings import SETTINGS, Process, files_of

TOP: Final = Path(__file__).parents[2]
PAGE: Final = (TOP / "docs" / "policy.md").read_text("utf-8")
TOOLS: Final = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """One example.

    Attributes:
        line: Where its fence is.
        language: The first word behind the fence.
        kind: The word after it, empty for none.
        options: ``name=value`` behind the fence.
        body: What is inside.
    """

    line: int
    language: str
    kind: str
    options: dict[str, str]
    body: str

    @property
    def name(self) -> str:
        """What a test of it is called."""
        return f"line {self.line}"


def blocks_in(page: str) -> Iterator[Block]:
    """Yield the examples of a page."""
    fenced = re.compile(r"^```(?P<info>.+)\n(?P<body>(?:.*\n)*?)```$", re.MULTILINE)
    for found in fenced.finditer(page):
        language, *words = found["info"].split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        (kind,) = [word for word in words if "=" not in word] or [""]
        line = page.count("\n", 0, found.start()) + 1
        yield Block(line, language, kind, options, found["body"])


BLOCKS: Final = list(blocks_in(PAGE))


def those(language: str, *kinds: str) -> list[Block]:
    """Return the examples in a language, of some kinds."""
    return [each for each in BLOCKS if each.language == language and each.kind in kinds]


def section(title: str, page: str = PAGE) -> str:
    """Return what is under a heading, down to the next one that is not below it."""
    found = re.search(rf"^(#+) {re.escape(title)}$", page, re.MULTILINE)
    assert found is not None, title
    rest = page[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose first column is called `head`."""
    table = re.search(
        rf"^ *\| {re.escape(head)} \|.*\n *\|[-| ]+\|\n((?: *\|.*\n)+)", text, re.MULTILINE
    )
    assert table is not None, head
    lines = table[1].strip().splitlines()
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# --- every example -----------------------------------------------------------------


def test_every_example_is_of_a_kind_that_is_tested() -> None:
    tested = {
        "yaml": {"", "rule", "wrong", "tokens", "tests", "migration", "envoy", "kubernetes"},
        "console": {""},
        "text": {""},
        "json": {"log", "reloaded", "not-reloaded"},
        "sh": {""},
        "promql": {""},
    }

    assert PAGE.count("\n```") == 2 * len(BLOCKS)
    assert [each for each in BLOCKS if each.kind not in tested.get(each.language, ())] == []


@pytest.mark.parametrize("block", those("yaml", "", "migration"), ids=lambda block: block.name)
def test_a_policy_has_no_mistakes_and_passes_its_tests(block: Block) -> None:
    parsed = parse_policy(block.body)

    failed = [each for each in run_cases(parsed, parsed.cases) if each.failures]
    assert failed == []


def test_most_policies_have_tests() -> None:
    policies = those("yaml", "")

    assert sum("\ntests:" in each.body for each in policies) > len(policies) * 0.75


@pytest.mark.parametrize("block", those("yaml", "rule"), ids=lambda block: block.name)
def test_a_rule_alone_has_no_mistakes(block: Block) -> None:
    assert parse_policy(f"version: 1\nrules:\n{block.body}").policy.rules


@pytest.mark.parametrize("block", those("yaml", "tokens"), ids=lambda block: block.name)
def test_a_file_of_tokens_has_no_mistakes(block: Block) -> None:
    assert parse_service_tokens(block.body)


@pytest.mark.parametrize("block", those("yaml", "wrong"), ids=lambda block: block.name)
def test_check_says_about_a_mistake_what_the_page_says(block: Block, tmp_path: Path) -> None:
    shown = BLOCKS[BLOCKS.index(block) + 1]
    (tmp_path / "policy.yaml").write_text(block.body, "utf-8")

    done = in_shell("wicketgate policy check policy.yaml", tmp_path)

    assert shown.language == "text"
    assert (shown.body, 2) == (done.stdout, done.returncode)


@pytest.mark.parametrize("block", those("console", ""), ids=lambda block: block.name)
def test_a_command_prints_what_the_page_shows(block: Block, tmp_path: Path) -> None:
    for each in BLOCKS[: BLOCKS.index(block)]:
        if "file" in each.options:
            (tmp_path / each.options["file"]).write_text(each.body, "utf-8")
    steps = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.body, re.MULTILINE)
    # One shell for the block, which says after each command how that ended.
    script = "".join(f"{command}\nprintf '\\0%d\\0' $?\n" for command, _ in steps)

    printed = in_shell(script, tmp_path).stdout.split("\0")

    outputs, statuses = printed[:-1:2], printed[1::2]
    last = block.options.get("exit", "0")
    assert [*["0"] * (len(steps) - 1), last] == statuses, printed
    for (command, shown), output in zip(steps, outputs, strict=True):
        assert command.startswith(("wicketgate ", "WICKETGATE_", "export "))
        assert is_shown(output, shown), f"{command}\n{output}"


def in_shell(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{TOOLS}{os.pathsep}{os.defpath}", "LC_ALL": "C.UTF-8", "HOME": "."}
    return subprocess.run(
        ["/bin/sh", "-c", f"exec 2>&1\n{script}"],
        cwd=directory,
        env=environ,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
    )


def is_shown(output: str, shown: str) -> bool:
    """Tell whether the page shows `output`, with ``...`` for what is not the same each time."""
    parts = re.split(r"(^\.\.\.\n|\.\.\.)", shown, flags=re.MULTILINE)
    patterns = {"...\n": r"(?:.*\n)+?", "...": ".+"}
    pattern = "".join(patterns.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(pattern, output) is not None


@pytest.mark.parametrize(
    ("output", "shown", "expected"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a 17 b\n", "a ... b\n", True),
        ("a 17\nb\n", "a ...\n", False),
        ("a\nb\nc\nd\n", "a\n...\nd\n", True),
        ("a\nd\n", "a\n...\nd\n", False),
    ],
)
def test_dots_stand_for_what_varies(output: str, shown: str, *, expected: bool) -> None:
    assert expected == is_shown(output, shown)


# --- the sections ------------------------------------------------------------------

MODELS: Final[dict[type[Words], str]] = {
    PolicyWords: "The file",
    RuleWords: "A rule",
    MatchWords: "match",
    AllowWords: "allow",
    UserWords: "allow: user",
    ServiceWords: "allow: service",
    CasesWords: "tests",
    CaseWords: "tests",
    RequestWords: "tests",
    CallerWords: "tests",
    ServiceCallerWords: "tests",
    ExpectWords: "tests",
}


def models_in(kind: Any) -> Iterator[type[Words]]:  # noqa: ANN401 - any annotation
    """Yield the mappings that a value of this type can hold, itself included."""
    if isinstance(kind, type) and issubclass(kind, Words):
        yield kind
        for field in kind.model_fields.values():
            yield from models_in(field.annotation)
    elif get_origin(kind) in {Annotated, Union, UnionType, list, dict, tuple}:
        for part in get_args(kind):
            yield from models_in(part)


def keys_of(model: type[Words]) -> set[str]:
    """Return the keys of a mapping, as they are written in the file."""
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_mapping_of_the_file_has_a_section() -> None:
    assert set(MODELS) == {*models_in(PolicyWords), *models_in(CasesWords)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_in_the_reference(model: type[Words]) -> None:
    text = section(MODELS[model], section("Reference"))

    assert {key for key in keys_of(model) if not re.search(rf"\b{key}\b", code_in(text))} == set()


def code_in(text: str) -> str:
    """Return what is set as code, in lines and in blocks."""
    blocks = "".join(block.body for block in blocks_in(text))
    return blocks + " ".join(words(re.sub(r"^```(?:.|\n)*?^```$", "", text, flags=re.MULTILINE)))


@pytest.mark.parametrize(
    "model",
    [PolicyWords, RuleWords, MatchWords, UserWords, ServiceWords],
    ids=lambda model: model.__name__,
)
def test_a_table_of_keys_has_each_key_and_no_other(model: type[Words]) -> None:
    table = rows(section(MODELS[model]), "key")

    assert keys_of(model) == {key for row in table for key in words(row[0])}


def test_every_variable_and_field_of_conditions_is_in_the_reference() -> None:
    known = variables_of(
        dict.fromkeys(condition.VARIABLES),
        request=HttpRequest(),
        parameters={"org_id": ""},
        claims=claims_of({"plan": "pro"}),
        service=ServiceToken(name="a", digest=b"", scopes=frozenset()),
        now=NOW,
    )
    named = {name: set(fields) for name, fields in known.items()}
    # Of these three, any name: the table has one example each.
    named |= {"user": set(USER_FIELDS), "claims": {"plan"}, "context": {"tier"}}

    table = rows(section("when"), "variable")

    assert set(condition.VARIABLES) == {name for row in table for name in words(row[0])}
    assert {f"{name}.{field}" for name, fields in named.items() for field in fields} == {
        field for row in table for field in words(row[1])
    }


def test_every_macro_is_in_the_reference() -> None:
    named = set(words(section("when")))

    assert {"has", "all", "exists", "exists_one", "map", "filter"} <= named


def test_every_source_of_a_header_is_in_the_reference() -> None:
    table = rows(section("headers", section("Reference")), "source")

    assert {*claim_header.WORDS, "claims.<name>"} == {
        word for row in table for word in words(row[0])
    }


def test_every_setting_that_policies_depend_on_is_on_the_page() -> None:
    names = {
        *("WICKETGATE_POLICY_FILE", "WICKETGATE_SERVICE_TOKENS_FILE", "SERVICE_AUTH_TOKEN"),
        *("WICKETGATE_IMPERSONATION", "WICKETGATE_PENDING_SESSIONS"),
        *("WICKETGATE_SESSION_COOKIES", "WICKETGATE_FORWARD_SERVICE_TOKEN"),
        *("WICKETGATE_IDENTITY_ALIASES", "WICKETGATE_DECISION_LOG"),
        *("WICKETGATE_DECISION_DETAIL", "WICKETGATE_REPLAY_SHARE"),
    }

    assert names <= {setting.name for setting in SETTINGS}
    assert {name for name in names if f"`{name}" not in PAGE} == set()


def test_every_metric_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (TOP / "src" / "wicketgate").rglob("*.py"))
    named = {name.removesuffix("_total") for name in re.findall(r"\bwicketgate_[a-z_]+", PAGE)}

    assert named
    assert [name for name in sorted(named) if f'"{name}"' not in sources] == []


def test_every_reason_has_its_status() -> None:
    table = rows(section("Which status"), "reason")

    assert {words(row[0])[0]: int(row[1]) for row in table} == {
        words(row[0])[0]: ANSWERS[Reason(words(row[0])[0])].status for row in table
    }


def test_every_reason_that_a_policy_can_give_is_on_the_page() -> None:
    reasons = list(Reason)
    first, last = map(reasons.index, (Reason.USER_NOT_ADMITTED, Reason.AMBIGUOUS_HOST))
    named = {word for row in rows(section("Which status"), "reason") for word in words(row[0])}

    assert {*reasons[first : last + 1], Reason.NO_CREDENTIAL, Reason.IMPERSONATION} <= named


@pytest.mark.parametrize("row", rows(section("paths"), "template"), ids=lambda row: row[0])
def test_a_template_fits_what_the_page_says(row: list[str]) -> None:
    template = PathTemplate.parse(words(row[0])[0])

    assert [path for path in words(row[1]) if not template.matches(path)] == []
    assert [path for path in words(row[2]) if template.matches(path)] == []


@pytest.mark.parametrize("number", [1, 1_000, 9_999, 10_000])
def test_the_steps_of_a_condition_are_as_many_as_the_page_says(number: int) -> None:
    table = {row[0]: int(row[1]) for row in rows(section("when"), "limit")}
    budget = table.pop("steps of CEL's loops in one evaluation, fewer than")

    compiled = condition.compile_condition("claims.list.all(x, x >= 0)")
    refusal = compiled.refusal({"claims": {"list": list(range(number))}})

    assert list(table.values()) == [condition.MAX_LENGTH, condition_text.MAX_NESTING]
    assert (Reason.CONDITION_FAILED if number >= budget else None) == refusal


def test_the_limits_are_those_of_the_program() -> None:
    table = [int(row[1]) for row in rows(section("Limits and pitfalls"), "limit")]

    assert table == [
        MAX_BYTES,
        source.MAX_VALUES,
        source.MAX_REPEATED,
        source.MAX_DEPTH,
        document.MAX_RULES,
        document.MAX_HEADERS,
        6,  # see `test_the_limits_of_names_are_those_of_the_program`
        64,
        claim_header.MAX_VALUE,
        condition.MAX_DEPTH,
        MAX_PATH,
        MAX_TOKENS,
        MAX_MISTAKES,
    ]


@pytest.mark.parametrize(
    ("name", "header", "mistakes"),
    [("a" * 64, "x-a-b-c-d-e-f", 0), ("a" * 65, "x-a", 1), ("a", "x-a-b-c-d-e-f-g", 1)],
)
def test_the_limits_of_names_are_those_of_the_program(
    name: str, header: str, mistakes: int
) -> None:
    text = f"version: 1\nrules: [{{ name: {name}, allow: user, headers: {{ {header}: org_id }} }}]"

    assert mistakes == len(mistakes_in(text))


def mistakes_in(text: str) -> tuple[Mistake, ...]:
    try:
        parse_policy(text)
    except PolicyError as error:
        return error.mistakes
    return ()


def test_every_heading_that_is_linked_to_exists() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9_ -]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


# --- from context_extensions to a file ---------------------------------------------

CALLERS: Final[dict[str, Caller]] = {
    "nobody": NO_CREDENTIAL,
    "a user": claims_of({}),
    "an impersonated user": claims_of({"act": {"sub": "user_support"}}),
    "a bad token": Reason.TOKEN_EXPIRED,
    "a service": ServiceToken(name="static", digest=b"", scopes=frozenset({"*"})),
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("exposure", ["", *Exposure])
@pytest.mark.parametrize("admission", ["", *Admission])
def test_the_file_for_the_first_day_decides_as_the_words_did(
    admission: str, exposure: str, caller: str
) -> None:
    (block,) = those("yaml", "migration")
    said = {"policy": admission, "exposure": exposure}
    context = {key: value for key, value in said.items() if value}

    before, after = (
        outcome(policy, CALLERS[caller], context)
        for policy in (RoutePolicy(), parse_policy(block.body).policy)
    )

    assert before == after


def outcome(policy: Policy, caller: Caller, context: dict[str, str]) -> object:
    request = HttpRequest(context=context)
    match judge_known(request, caller=caller, policy=policy, now=NOW):
        case Allow() as allow:
            return allow.principal
        case Deny() as deny:
            return deny.reason


def test_every_word_of_context_extensions_is_in_the_table() -> None:
    table = rows(section("From context_extensions to a file"), "in `context_extensions`")
    named = {word.removeprefix("policy: ") for row in table for word in words(row[0])}

    assert {*Admission, "exposure", "targets: strict", "targets: any"} <= named


# --- what other files have to say --------------------------------------------------


def test_the_lines_of_envoy_know_the_headers_of_the_example() -> None:
    """Both are in envoy.yaml, and cover every spelling of what the policy before them sets."""
    bound, strip = those("yaml", "envoy")
    before = BLOCKS[BLOCKS.index(bound) - 1]
    headers = {name for rule in parse_policy(before.body).policy.rules for name in rule.headers}
    spellings = {each for header in headers for each in spellings_of(header.name)}
    rules: Any = yaml.safe_load(bound.body)["decoder_header_mutation_rules"]
    (mutation,) = yaml.safe_load(strip.body)
    stripped = mutation["remove_on_match"]["key_matcher"]["safe_regex"]["regex"]
    envoy = (TOP / "envoy.yaml").read_text()

    assert spellings
    assert [each for each in spellings if not re2.fullmatch(stripped, each)] == []
    for name in (*spellings, "clerk_user_id", "wicketgate-principal", "authorization"):
        assert re2.fullmatch(rules["allow_expression"]["regex"], name), name
    for known in ("decoder_header_mutation_rules:", "allow_expression:", "- remove_on_match:"):
        assert known in envoy


@pytest.mark.parametrize("block", those("yaml", "kubernetes"), ids=lambda block: block.name)
def test_what_is_for_kubernetes_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.body)["containers"]


# --- the log -----------------------------------------------------------------------

EVERYTHING: Final = Record(
    decision_id="d-1",
    request_id="r-1",
    verdict="allow",
    reason="allowed",
    principal="service",
    service="billing",
    rule="bills",
    template="/bills/**",
    shadows=(("strict", "allowed"),) * (MAX_SHADOWS + 1),
    detail="told",
    seconds=0.25,
)
"""A decision with all that a log line can have, but a replay."""

EVERYTHING_TO_REPLAY: Final = Replay(
    method="GET",
    host="app.example.com",
    path="/",
    is_path_cut=True,
    context={"exposure": "public"},
    headers=("x-request-id",),
    are_headers_cut=True,
    source="spiffe://mesh/ns/a/sa/b",
    caller={"kind": "none"},
    claims=("plan",),
)

OF_EVERY_LINE: Final = {"event", "level", "timestamp"}


def test_every_field_of_the_log_is_in_the_table() -> None:
    table = rows(section("The decision log"), "field")

    assert set(fields_of(EVERYTHING)) == {name for row in table for name in words(row[0])}


def test_every_field_of_a_replay_is_in_the_table() -> None:
    table = rows(section("The decision log"), "field of `replay`")

    assert set(EVERYTHING_TO_REPLAY.document()) == {
        name for row in table for name in words(row[0])
    }


def test_what_a_log_line_is_cut_to_is_what_the_page_says() -> None:
    text = section("The decision log")

    assert f"at most {MAX_SHADOWS}" in text
    assert f"longer than {MAX_LINE} characters" in text


@pytest.mark.parametrize("block", those("json", "log"), ids=lambda block: block.name)
def test_lines_of_the_log_are_such_as_a_gate_writes(block: Block) -> None:
    for line in block.body.splitlines():
        fields = json.loads(line)

        assert fields.keys() <= {*fields_of(EVERYTHING), "replay", *OF_EVERY_LINE}
        assert len(line) <= MAX_LINE
        if "replay" in fields:
            assert isinstance(read_line(line.encode()), RecordedDecision)


def test_every_file_that_is_followed_is_on_the_page() -> None:
    names = [name for setting in SETTINGS for name in (setting.name, setting.file_name)]
    followed = files_of({name: f"/{name}" for name in names}, Process.AUTHZ)

    assert followed
    assert {path.name for path in followed} <= set(words(section("Reload")))


async def test_a_gate_follows_the_tutorial(world: World, tmp_path: Path) -> None:
    """It is changed, then broken, and says what the page says it says."""
    first, second = [each for each in BLOCKS if each.options.get("file") == "policy.yaml"]
    wrong, *_ = those("yaml", "wrong")
    policy = tmp_path / "policy.yaml"
    policy.write_text(first.body, "utf-8")

    async with (
        gate(environ(world, WICKETGATE_POLICY_FILE=str(policy))) as running,
        ClientSession() as session,
    ):
        rename_over(policy, second.body)
        reloaded = await running.next_event("reloaded")
        rename_over(policy, wrong.body)
        refused = await running.next_event("not reloaded, the old stays in force")
        async with session.get(f"http://{running.admin}/readyz") as answer:
            status, states = answer.status, await answer.json()
        async with session.get(f"http://{running.admin}/metrics") as answer:
            metrics = await answer.text()

    assert steady(log_line("reloaded")) == steady(reloaded)
    assert steady(log_line("not-reloaded"), "/etc/wicketgate") == steady(refused, str(tmp_path))
    assert (status, states["status"], states["components"]["policy"]) == (
        *(200, "degraded", "degraded"),
    )
    assert "\nwicketgate_policy_reloads_total 1.0\n" in metrics
    assert "\nwicketgate_policy_reload_failures_total 1.0\n" in metrics


def rename_over(path: Path, text: str) -> None:
    """Change a file as editors do: nobody ever sees a half of it."""
    path.with_suffix(".new").write_text(text, "utf-8")
    path.with_suffix(".new").replace(path)


def log_line(kind: str) -> dict[str, object]:
    (block,) = those("json", kind)
    line: dict[str, object] = json.loads(block.body)
    return line


def steady(line: dict[str, object], directory: str = "/") -> dict[str, object]:
    """Return a line without what is not the same each time."""
    return {
        name: value.replace(directory, "") if isinstance(value, str) else value
        for name, value in line.items()
        if name != "timestamp"
    }
