"""Path templates: ``/orgs/{org_id}/items/**``.

A segment is literal, ``*`` (any one), ``{name}`` (any one, kept under that name),
or at the end ``**`` (any number, also none). A slash at the end of the path makes
no difference: a rule for ``/admin`` that ``/admin/`` walked past would be a hole.
Case counts. A character that may be sent as it is or percent-encoded, such as
``@``, is the same in both spellings, because it is to most upstreams; all other
double meanings make a path ambiguous, and then no template is asked.

Source: RFC 3986 sections 2.2 and 3.3.
"""

import re
from dataclasses import dataclass
from typing import Final

from wicketgate.core.request import is_ambiguous

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_REST: Final = "**"
_ANY: Final = "*"

_EITHER: Final = frozenset("!\"$&'()*+,:<=>@[]^`{|}")
"""Visible ASCII that may be sent encoded or not; neither unreserved, which has no need to
be encoded, nor a delimiter that would cut the path differently (`is_ambiguous`)."""
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNIT: Final = re.compile(r"%[0-9A-Fa-f]{2}|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A parsed template.

    Attributes:
        text: As the operator wrote it.
        segments: Literals in one spelling, `None` for one that may be anything.
        names: The position of each named segment.
        is_open: Whether it ends in ``**``.
    """

    text: str
    segments: tuple[str | None, ...]
    names: tuple[tuple[str, int], ...]
    is_open: bool

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        """Read a template.

        Raises:
            ValueError: what was expected.
        """
        if not text.startswith("/"):
            msg = "expected a path that begins with /"
            raise ValueError(msg)
        parts = text[1:].split("/")
        is_open = parts[-1] == _REST
        if is_open or not parts[-1]:
            parts.pop()
        segments: list[str | None] = []
        names: list[tuple[str, int]] = []
        for position, part in enumerate(parts):
            name = _name_of(part)
            if name is not None:
                if any(name == known for known, _ in names):
                    msg = f"expected each name once; {{{name}}} is there twice"
                    raise ValueError(msg)
                names.append((name, position))
            segments.append(_literal_of(part))
        return cls(text, tuple(segments), tuple(names), is_open)

    def matches(self, path: str) -> bool:
        """Tell whether `path` fits."""
        if not path.startswith("/"):
            return False
        parts = path[1:].split("/")
        if not parts[-1]:
            parts.pop()
        wanted = len(self.segments)
        if len(parts) < wanted or (len(parts) > wanted and not self.is_open):
            return False
        pairs = zip(self.segments, parts, strict=False)
        return all(part and want in {None, one_spelling(part)} for want, part in pairs)

    def parameters(self, path: str) -> dict[str, str]:
        """Return the named segments of a `path` that fits, each in one spelling."""
        parts = path.split("/")
        return {name: one_spelling(parts[position + 1]) for name, position in self.names}

    def covers(self, other: "PathTemplate") -> bool:
        """Tell whether every path that fits `other` fits this."""
        if len(other.segments) < len(self.segments):
            return False
        if not self.is_open and (other.is_open or len(other.segments) != len(self.segments)):
            return False
        pairs = zip(self.segments, other.segments, strict=False)
        return all(own is None or own == theirs for own, theirs in pairs)

    def meets(self, other: "PathTemplate") -> bool:
        """Tell whether some path fits both."""
        shorter, longer = sorted((self, other), key=lambda each: len(each.segments))
        if len(shorter.segments) < len(longer.segments) and not shorter.is_open:
            return False
        pairs = zip(self.segments, other.segments, strict=False)
        return all(None in {own, theirs} or own == theirs for own, theirs in pairs)

    @property
    def expression(self) -> str:
        """The same as an RE2 expression over a path."""
        segments = "".join(
            "/[^/\n]+" if segment is None else "/" + _either_spelling(segment)
            for segment in self.segments
        )
        if self.is_open:
            return segments + ("(?:/[^\n]*)?" if segments else "/[^\n]*")
        return segments + "/?" if segments else "/"


def _name_of(part: str) -> str | None:
    if not part.startswith("{"):
        return None
    name = part[1:-1]
    if not part.endswith("}") or _NAME.fullmatch(name) is None:
        msg = f"expected a whole segment such as {{org_id}} instead of {part!r}"
        raise ValueError(msg)
    return name


def _literal_of(part: str) -> str | None:
    if part == _ANY or part.startswith("{"):
        return None
    if _REST in part:
        msg = "expected ** only as the last segment"
        raise ValueError(msg)
    if "*" in part or "{" in part or "}" in part:
        msg = f"expected a whole segment *, {{name}} or plain text instead of {part!r}"
        raise ValueError(msg)
    # A path ends before its first question mark, so none would ever fit.
    if not part or "?" in part or is_ambiguous("/" + part):
        msg = f"expected a segment that means one thing to every reader instead of {part!r}"
        raise ValueError(msg)
    return one_spelling(part)


def one_spelling(segment: str) -> str:
    """Return a segment with all of `_EITHER` as they are, and other escapes in upper case."""
    return _ESCAPE.sub(_spelt, segment) if "%" in segment else segment


def _spelt(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _EITHER else escape[0].upper()


def _either_spelling(literal: str) -> str:
    """Return an RE2 expression for a literal, in whichever spelling it is sent."""
    return "".join(_alternatives(found[0]) for found in _UNIT.finditer(literal))


def _alternatives(unit: str) -> str:
    if unit.startswith("%") and len(unit) > 1:
        return _any_case(unit)
    if unit in _EITHER:
        return f"(?:{re.escape(unit)}|{_any_case(f'%{ord(unit):02X}')})"
    return re.escape(unit)


def _any_case(escape: str) -> str:
    return "".join(f"[{digit}{digit.lower()}]" if digit.isalpha() else digit for digit in escape)
