"""The status page itself: a few files that hold no data and need no build.

They are read once, and served as they are.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page.

    Attributes:
        path: Under which it is served.
        name: Of the file.
        content_type: What it is.
    """

    path: str
    name: str
    content_type: str

    def read(self) -> bytes:
        """Return what is in it."""
        return files(__package__).joinpath(self.name).read_bytes()


_MODULES: Final = (
    *("charts", "elements", "events", "gate", "process"),
    *("reasons", "receiver", "stream", "told", "words"),
)
ASSETS: Final = (
    Asset("/", "page.html", "text/html"),
    Asset("/status.css", "page.css", "text/css"),
    Asset("/status.js", "page.js", "text/javascript"),
    *(Asset(f"/status/{name}.js", f"{name}.js", "text/javascript") for name in _MODULES),
    Asset("/status.svg", "page.svg", "image/svg+xml"),
)
