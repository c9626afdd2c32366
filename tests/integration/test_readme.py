"""The README says what is so: its table, its demo, its Envoy snippet."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
import yaml

from wicketgate.core.policy.lint import lint
from wicketgate.core.policy.parse import parse_policy
from wicketgate.local.envoy import find_envoy
from wicketgate.local.envoy_config import AUTHZ_FILTER, envoy_document
from wicketgate.settings import settings_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def block(language: str, containing: str) -> str:
    """Return the code block of `language` that has `containing` in it."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```", README, re.MULTILINE | re.DOTALL)
    (found,) = [
        "\n".join(line.removeprefix(indent) for line in body.splitlines())
        for indent, body in blocks
        if containing in body
    ]
    return found


def test_the_settings_table_is_the_program_s_own() -> None:
    assert settings_table().strip() in README


def test_the_policy_is_one_that_the_gate_takes() -> None:
    parsed = parse_policy(block("yaml", "WICKETGATE_POLICY_FILE"))

    assert lint(parsed.policy) == ()
    assert [rule.name for rule in parsed.policy.rules] == [
        *("health", "audio", "tenants", "billing", "app")
    ]


@pytest.mark.envoy
@pytest.mark.timeout(180)
async def test_the_demo_prints_what_the_readme_shows_and_succeeds() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wicketgate", "local", "--tour"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 150)

    def steady(text: str) -> list[str]:
        return re.sub(r"of \d+ failed", "of N failed", text).split("\n")

    shown = steady(block("text", "a signed-in user").rstrip())
    printed = steady(output.decode())
    assert process.returncode == 0, output.decode()
    assert "starting wicketgate authz with the transport wire ..." in printed
    assert [line for line in shown if line not in printed] == []


@pytest.mark.envoy
async def test_the_snippet_is_a_filter_that_envoy_takes(tmp_path: Path) -> None:
    """
    Put in place of the filter of envoy.yaml, whose cluster it names.
    """
    (snippet,) = yaml.safe_load(block("yaml", "transport_api_version"))
    document = yaml.safe_load(envoy_document())
    for listener in document["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [
            snippet if each["name"] == AUTHZ_FILTER else each for each in manager["http_filters"]
        ]
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(document), "utf-8")

    process = await asyncio.create_subprocess_exec(
        *(find_envoy(), "--mode", "validate", "-c", config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0, output.decode()
