"""An image that was built, and how to complain about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Broken(Exception):  # noqa: N818 - the image is, and nothing here
    """The image is not what it should be."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image.

    Attributes:
        root: What is in it, as files.
        config: How it is run, as Docker writes it.
        bytes: Of all layers.
        base_bytes: Of those of the base.
        description: All that is known of it, as text.
        index: Where its packages came from, if that is a setting of this machine.
    """

    root: Path
    config: dict[str, Any]
    bytes: int
    base_bytes: int
    description: str
    index: tuple[str, ...]

    def size(self) -> str:
        """Return its size, in words."""
        base, own = self.base_bytes / 1e6, (self.bytes - self.base_bytes) / 1e6
        return f"{base + own:.0f} MB: the base has {base:.0f}, ours are {own:.0f}"


def same(complaint: str, wanted: object, found: object) -> None:
    """Complain unless `found` is what was wanted.

    Raises:
        Broken: it is not.
    """
    if wanted != found:
        msg = f"{complaint}: {found!r}, and not {wanted!r}"
        raise Broken(msg)


def nothing(complaint: str, found: object) -> None:
    """Complain if anything was found.

    Raises:
        Broken: something was.
    """
    if found:
        msg = f"{complaint}: {found!r}"
        raise Broken(msg)
