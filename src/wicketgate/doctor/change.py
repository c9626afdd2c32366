"""Edits as text: the exact lines, and where they go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import yaml

from wicketgate.core.policy.source import Place
from wicketgate.doctor.documents import Locator
from wicketgate.doctor.finding import Drop, Edit, Insert, Put


@dataclass(frozen=True, slots=True)
class Change:
    """One change, ready to be typed.

    Attributes:
        what: What to do, up to the lines.
        line: The line that it is about, from 1.
        path: The place that it is about, as one reads it.
        lines: What to write; empty where something is only taken away.
    """

    what: str
    line: int
    path: str
    lines: tuple[str, ...] = ()


def change_of(edit: Edit, locator: Locator, values: list[Any]) -> Change:
    """Return the text of `edit`.

    Args:
        edit: A change of the documents.
        locator: Where they are.
        values: What they hold.
    """
    place = locator.canonical(edit.place[:-1]) + edit.place[-1:]
    line, path = locator.position(place).line, locator.path(place)
    match edit:
        case Drop():
            return Change(f"line {line}: take {path} away", line, path)
        case Put(value=value):
            if _is_there(values, place):
                return Change(f"line {line}: {path} becomes", line, path, _lines(place, value))
            what = f"line {line}: to {locator.path(place[:-1]) or 'the file'} add"
            return Change(what, line, path, _lines(place, value))
        case Insert(value=value):
            if len(place) == 1:
                return Change("add a document", line, path, ("---", *_dumped(value)))
            what = f"line {line}: before {path} insert"
            if not _is_there(values, place):
                what = f"line {line}: to the end of {locator.path(place[:-1])} add"
            return Change(what, line, path, _dumped([value]))
        case _:
            assert_never(edit)


def _lines(place: Place, value: Any) -> tuple[str, ...]:  # noqa: ANN401 - YAML holds anything
    key = place[-1]
    return _dumped({key: value} if isinstance(key, str) else [value])


def _dumped(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    text = yaml.dump(value, Dumper=_Plain, sort_keys=False, width=1000, allow_unicode=True)
    return tuple(text.splitlines())


class _Plain(yaml.SafeDumper):
    """Repeats what is there twice instead of using anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as in the base class
        return True


def _is_there(values: list[Any], place: Place) -> bool:
    value: Any = values
    for part in place:
        is_in = (isinstance(value, Mapping) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if not is_in:
            return False
        value = value[part]
    return True
