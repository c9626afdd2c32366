"""``wicketgate policy``: the arguments of the tools for policy files."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from wicketgate.tools import help_text
from wicketgate.tools.explain_arguments import add_arguments, explain

AddParser = Callable[..., argparse.ArgumentParser]


def add_policy(add_parser: AddParser) -> None:
    """Add the command ``policy`` and those below it."""
    policy = _command(
        add_parser, "policy", "check, test and explain policy files", help_text.POLICY
    )
    commands = policy.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands.add_parser)
    _add_test(commands.add_parser)
    _add_explain(commands.add_parser)
    _add_diff(commands.add_parser)
    schema = _command(
        commands.add_parser, "schema", "print the JSON Schema of policies", help_text.SCHEMA
    )
    schema.set_defaults(run=_schema)


def _command(
    add_parser: AddParser, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    return add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_check(add_parser: AddParser) -> None:
    check = _command(add_parser, "check", "find mistakes in a policy file", help_text.CHECK)
    check.add_argument("file", type=Path, metavar="FILE", help="the policy; - is stdin")
    check.add_argument("--strict", action="store_true", help="exit 1 if there are warnings")
    check.add_argument("--json", action="store_true", help=help_text.JSON)
    check.set_defaults(run=_check)


def _add_test(add_parser: AddParser) -> None:
    test = _command(add_parser, "test", "run the tests of a policy", help_text.TEST)
    test.add_argument("policy", type=Path, metavar="POLICY", help="the policy file")
    test.add_argument("cases", type=Path, nargs="*", metavar="TESTS", help="files of tests")
    test.add_argument("--json", action="store_true", help=help_text.JSON)
    test.add_argument("--junit", type=Path, metavar="FILE", help="also write a JUnit report")
    test.set_defaults(run=_test)


def _add_diff(add_parser: AddParser) -> None:
    diff = _command(add_parser, "diff", "compare two policies on what was asked", help_text.DIFF)
    diff.add_argument("old", type=Path, metavar="OLD", help="a policy file")
    diff.add_argument("new", type=Path, metavar="NEW", help="another")
    diff.add_argument(
        "--log", type=Path, required=True, metavar="FILE", help="the decision log; - is stdin"
    )
    diff.add_argument("--json", action="store_true", help=help_text.JSON)
    diff.set_defaults(run=_diff)


def _add_explain(add_parser: AddParser) -> None:
    parser = _command(add_parser, "explain", "say what becomes of a request", help_text.EXPLAIN)
    add_arguments(parser)
    parser.set_defaults(run=explain)


# The tools are imported late, as everything behind a command is: pydantic and RE2 take
# a third of a second that --help and mistakes need not wait for.


def _check(parsed: argparse.Namespace) -> int:
    from wicketgate.tools.check import run_check  # noqa: PLC0415

    return run_check(
        parsed.file,
        stdin=sys.stdin.buffer,
        out=sys.stdout,
        as_json=parsed.json,
        is_strict=parsed.strict,
    )


def _test(parsed: argparse.Namespace) -> int:
    from wicketgate.tools.test import run_tests  # noqa: PLC0415

    return run_tests(
        parsed.policy, parsed.cases, out=sys.stdout, as_json=parsed.json, junit=parsed.junit
    )


def _diff(parsed: argparse.Namespace) -> int:
    from wicketgate.tools.diff import run_diff  # noqa: PLC0415

    return run_diff(parsed.old, parsed.new, log=parsed.log, out=sys.stdout, as_json=parsed.json)


def _schema(_: argparse.Namespace) -> int:
    from wicketgate.core.policy.schema import schema_text  # noqa: PLC0415

    sys.stdout.write(schema_text())
    return 0
