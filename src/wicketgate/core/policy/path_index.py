"""Many path templates, and which of them cover or meet another.

A tree of segments: what shares a beginning is looked at once.
"""

from collections.abc import Iterator

from wicketgate.core.policy.template import PathTemplate


class _Node:
    """Where templates with the same segments end or go on.

    Attributes:
        closed: The owners of templates that end here.
        open: Likewise, of those that go on with ``**``.
        children: By the next segment; `None` for one that may be anything.
    """

    __slots__ = ("children", "closed", "open")

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.open: list[int] = []
        self.children: dict[str | None, _Node] = {}


class PathIndex:
    """Templates, each with the number of its owner."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, template: PathTemplate, owner: int) -> None:
        """Add a template."""
        node = self._root
        for segment in template.segments:
            child = node.children.get(segment)
            if child is None:
                child = node.children[segment] = _Node()
            node = child
        (node.open if template.is_open else node.closed).append(owner)

    def covering(self, template: PathTemplate) -> Iterator[int]:
        """Yield the owners of what covers `template`; an owner may come more than once."""
        segments = template.segments
        waiting = [(self._root, 0)]
        while waiting:
            node, depth = waiting.pop()
            yield from node.open
            if depth == len(segments):
                if not template.is_open:
                    yield from node.closed
                continue
            for segment in {segments[depth], None}:
                child = node.children.get(segment)
                if child is not None:
                    waiting.append((child, depth + 1))

    def meeting(self, template: PathTemplate) -> Iterator[int]:
        """Yield the owners of what meets `template` without being strictly within it.

        An owner may come more than once.
        """
        # Whoever says "anything" where the template says a word is wider there, and
        # whoever says a word where it says "anything" is narrower.
        waiting = [(self._root, 0, False, False)]
        length = len(template.segments)
        while waiting:
            node, depth, is_wider, is_narrower = waiting.pop()
            if depth < length:
                yield from node.open
                for child, wider, narrower in _steps(node, template.segments[depth]):
                    waiting.append((child, depth + 1, is_wider or wider, is_narrower or narrower))
                continue
            if is_wider or not (is_narrower or template.is_open):
                yield from node.closed
            if is_wider or not (is_narrower and template.is_open):
                yield from node.open
            # What goes on here and is nowhere wider is within.
            if template.is_open and is_wider:
                waiting += [(each, depth + 1, True, True) for each in node.children.values()]


def _steps(node: _Node, segment: str | None) -> Iterator[tuple[_Node, bool, bool]]:
    """Yield the children that `segment` can lead to: whether they are wider, or narrower."""
    if segment is None:
        for own, child in node.children.items():
            yield child, False, own is not None
        return
    for own in (segment, None):
        found = node.children.get(own)
        if found is not None:
            yield found, own is None, False
