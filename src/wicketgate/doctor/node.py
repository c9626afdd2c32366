"""A value in a document, together with the way to it.

Protobuf's fields may be spelt ``failure_mode_allow`` or ``failureModeAllow``; both are
found. What is not there is a node, too, so that checks need not ask at each step, and
its place is where it would be.

Source: Protocol Buffers, "ProtoJSON Format" (field names, Duration, wrappers).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from wicketgate.core.policy.source import Place

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ms|us|ns|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE: Final = frozenset({"true", "yes", "on", "y"})
"""What YAML 1.1, which Envoy's reader and Kubernetes' go by, takes for true."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place; `None` stands for what is not there.

    Attributes:
        value: What YAML held.
        place: The keys and indices that lead to it.
    """

    value: Any
    place: Place

    def at(self, *keys: str | int) -> "Node":
        """Return what is behind `keys`, one inside the other."""
        node = self
        for key in keys:
            node = node._child(key)
        return node

    def items(self) -> Iterator["Node"]:
        """Yield the items of a list; nothing if it is none."""
        if isinstance(self.value, list):
            for index, value in enumerate(self.value):
                yield Node(value, (*self.place, index))

    def entries(self) -> Iterator[tuple[str, "Node"]]:
        """Yield the keys and values of a mapping; nothing if it is none."""
        if isinstance(self.value, dict):
            for key, value in self.value.items():
                yield key, Node(value, (*self.place, key))

    @property
    def listed(self) -> list[Any]:
        """The items of a list as they are; none if it is none."""
        return self.value if isinstance(self.value, list) else []

    @property
    def is_there(self) -> bool:
        """Whether there is anything."""
        return self.value is not None

    @property
    def is_true(self) -> bool:
        """Whether it says yes."""
        return self.value is True or str(self.value).lower() in _TRUE

    @property
    def text(self) -> str:
        """The text, empty if it is none."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def number(self) -> float | None:
        """The number, also in quotes or in a wrapper; `None` if it is none."""
        value = self.value
        if isinstance(value, dict) and set(value) == {"value"}:
            value = value["value"]
        try:
            number = None if isinstance(value, bool | None) else float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        # "nan" and "inf" are numbers for Python alone.
        return number if number is not None and isfinite(number) else None

    @property
    def seconds(self) -> float | None:
        """The duration, such as ``0.5s`` or Go's ``1m30s``; `None` if it is none."""
        parts = _DURATION.findall(self.text)
        if not parts or "".join(map("".join, parts)) != self.text:
            return None
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)

    def _child(self, key: str | int) -> "Node":
        if isinstance(key, int):
            is_in = isinstance(self.value, list) and key < len(self.value)
            return Node(self.value[key] if is_in else None, (*self.place, key))
        if isinstance(self.value, dict):
            for name in (key, camel(key)):
                if name in self.value:
                    return Node(self.value[name], (*self.place, name))
        return Node(None, (*self.place, key))


def camel(name: str) -> str:
    """Return ``failureModeAllow`` for ``failure_mode_allow``."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)
