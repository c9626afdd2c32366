"""Every component that a process can have comes with what to do about it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import wicketgate
from wicketgate.core.status.advice import COMPONENT_ADVICE

APP: Final = Path(wicketgate.__file__).parent / "app"


def components_in(source: str) -> Iterator[str]:
    """Yield the name of each component that is put into `components`, whatever it depends on."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=[ast.Name("components")], value=ast.Dict(keys=keys)):
                yield from (ast.literal_eval(key) for key in keys if key is not None)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name("components"), slice=key)]):
                yield ast.literal_eval(key)


def test_every_component_of_a_gate_and_of_a_receiver_has_advice_and_no_other() -> None:
    found = {
        component
        for name in ("authz.py", "webhooks.py")
        for component in components_in((APP / name).read_text("utf-8"))
    }

    assert found == set(COMPONENT_ADVICE)


@pytest.mark.parametrize("component", COMPONENT_ADVICE)
def test_the_advice_is_a_sentence(component: str) -> None:
    advice = COMPONENT_ADVICE[component]

    assert advice.endswith(".")
    assert 20 <= len(advice) <= 160
