"""Configurations with one mistake each, and what becomes of them when it is mended."""

import copy
from pathlib import Path
from typing import Any, Final

from wicketgate.core.policy.source import Place
from wicketgate.doctor.finding import Drop, Edit, Insert, Put

VECTORS: Final = Path(__file__).parent / "doctor"
GOOD: Final = sorted(VECTORS.glob("good.*"))
BROKEN: Final = sorted(set(VECTORS.iterdir()) - set(GOOD))


def mended(values: list[Any], edits: tuple[Edit, ...]) -> list[Any]:
    """Return a copy of `values` after `edits`."""
    copied = copy.deepcopy(values)
    for edit in edits:
        parent = holder_of(copied, edit.place)
        key: Any = edit.place[-1]
        match edit:
            case Drop():
                del parent[key]
            case Insert(value=value):
                parent.insert(key, value)
            case Put(value=value) if isinstance(parent, list) and key == len(parent):
                parent.append(value)
            case Put(value=value):
                parent[key] = value
    return copied


def holder_of(root: Any, place: Place) -> Any:  # noqa: ANN401 - YAML holds anything
    """Return what holds `place`; mappings on the way are made."""
    for part in place[:-1]:
        if isinstance(root, dict) and root.get(str(part)) is None:
            root[part] = {}
        root = root[part]
    return root
