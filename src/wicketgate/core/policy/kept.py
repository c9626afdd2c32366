"""Headers and claims of which a log kept some: mappings that notice who asks for the rest."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from wicketgate.core.policy.variables import HIDDEN_HEADERS


class KeptHeaders(Mapping[str, str]):
    """Headers that are known by name; each value reads as empty.

    Attributes:
        is_doubtful: Somebody asked for a header of which it is not known whether it
            was there.
        is_copied: Somebody took values that are not known, to read some of them or none.
    """

    def __init__(self, names: Iterable[str], *, is_cut: bool) -> None:
        """Take the `names` that were kept; with `is_cut` there were more."""
        self._names = frozenset(names)
        self._is_cut = is_cut
        self.is_doubtful = False
        self.is_copied = False

    def __contains__(self, name: object) -> bool:
        if name in self._names:
            return True
        self.is_doubtful |= self._is_cut or name in HIDDEN_HEADERS
        return False

    def __getitem__(self, name: str) -> str:
        if name not in self:
            raise KeyError(name)
        self.is_copied = True
        return ""

    def __iter__(self) -> Iterator[str]:
        # Where there was no header there is no value that is not known.
        self.is_copied |= bool(self._names) or self._is_cut
        return iter(self._names)

    def __len__(self) -> int:
        self.is_doubtful |= self._is_cut
        return len(self._names)


class KeptClaims(Mapping[str, Any]):
    """Claims of a user.

    Attributes:
        is_doubtful: Since it began, somebody asked for a claim of which it is not known
            whether it was there.
    """

    def __init__(self, claims: Mapping[str, Any], *, known: AbstractSet[str]) -> None:
        """Take the `claims` that were kept, of the names that are `known`."""
        self._claims = claims
        self._known = known
        self.is_doubtful = False

    def begin(self) -> None:
        """Forget what was asked before any rule was."""
        self.is_doubtful = False

    def __contains__(self, name: object) -> bool:
        self.is_doubtful |= name not in self._known
        return name in self._claims

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a claim is anything
        self.is_doubtful |= name not in self._known
        return self._claims[name]

    def __iter__(self) -> Iterator[str]:
        # There may be more than these.
        self.is_doubtful = True
        return iter(self._claims)

    def __len__(self) -> int:
        self.is_doubtful = True
        return len(self._claims)
