"""Reads an environment, and remembers every mistake instead of stopping at the first.

A mistake yields the default in place of the value, so that the reading goes on;
`EnvironReader.settle` then ends it. Secrets come from a variable or from the
file that its twin names; neither is ever quoted, and nor is the file's path,
because the token itself is easily pasted there.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final, TypeVar

from wicketgate.errors import ConfigurationError
from wicketgate.settings.catalogue import BY_NAME
from wicketgate.settings.values import InvalidValueError, boolean, quoted, seconds_between

PREFIX: Final = "WICKETGATE_"

MAX_SECRET_BYTES: Final = 65_536
"""Far above a handful of tokens or a PEM, and an end to /dev/zero."""

_SERVICE_LINK: Final = re.compile(
    r"WICKETGATE_(?:[A-Z0-9_]+_)?"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
"""Kubernetes adds these to every pod beside a Service whose name begins with wicketgate."""
_SERVICE_LINK_PORT: Final = re.compile(r"(?:tcp|udp|sctp)://")
"""``<SERVICE>_PORT`` is told from somebody's own invention by its value."""

FOREIGN: Final = frozenset({"WICKETGATE_ENVOY"})
"""What `wicketgate local` reads beside the settings of the processes."""

CLERK_PREFIX: Final = "CLERK_"
"""Others read variables of this name, too; only what is nearly ours is a mistake."""

_VERY_NEAR: Final = 0.9
_NEAR: Final = 0.75
"""Above this a name is a slip of the pen: POLICY_FILE is not meant to be TLS_KEY_FILE."""

Value = TypeVar("Value")


class EnvironReader:
    """Reads settings by name from one environment, collecting mistakes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read from `environ`; space around a value does not count."""
        self._texts = {name: text.strip() for name, text in environ.items()}
        self._mistakes: list[str] = []

    def is_set(self, name: str) -> bool:
        """Tell whether the setting has a value, good or bad, of its own or in a file."""
        setting = BY_NAME[name]
        return bool(self.text(name) or (setting.secret and self.text(setting.file_name)))

    def is_blank(self, name: str) -> bool:
        """Tell whether the variable is there and has no value."""
        return self._texts.get(name) == ""

    def text(self, name: str) -> str:
        """Return a variable as it is, empty when unset."""
        return self._texts.get(name, "")

    def optional(self, name: str, parse: Callable[[str], Value]) -> Value | None:
        """Return the value of a setting, or `None` when it is unset or a mistake."""
        setting = BY_NAME[name]
        text, origin = self.text(name), ""
        if setting.secret and self.text(setting.file_name):
            if text:
                self.mistake(name, f"is set, and so is {setting.file_name}; expected only one")
                return None
            text, origin = self._file_text(name), f"(from {setting.file_name}) "
        if not text:
            return None
        try:
            return parse(text)
        except InvalidValueError as error:
            self.mistake(name, f"{origin}{error}")
            return None

    def required(self, name: str, parse: Callable[[str], Value], expected: str) -> Value | None:
        """Return the value of a setting, or `None` after a mistake, such as none at all."""
        if not self.is_set(name):
            self.mistake(name, f"is not set; {expected}")
            return None
        return self.optional(name, parse)

    def defaulted(self, name: str, parse: Callable[[str], Value]) -> Value:
        """Return the value of a setting, or its default when it is unset or a mistake."""
        value = self.optional(name, parse)
        return parse(BY_NAME[name].default) if value is None else value

    def default(self, name: str) -> str:
        """Return the default of a setting, as it is written."""
        return BY_NAME[name].default

    def flag(self, name: str) -> bool:
        """Return a setting that is true or false."""
        return self.defaulted(name, boolean)

    def seconds(self, name: str, lowest: float, highest: float) -> float:
        """Return a setting in seconds, limits included."""
        return self.defaulted(name, seconds_between(lowest, highest))

    def mistake(self, name: str, complaint: str) -> None:
        """Remember that the setting is wrong; `complaint` completes "``NAME`` …"."""
        example = BY_NAME[name].example
        self._mistakes.append(f"{name} {complaint}; for example {name}={example}")

    def settle(self) -> None:
        """End the reading.

        Raises:
            ConfigurationError: there was any mistake, or a variable of ours that
                no process knows.
        """
        # The processes often share one environment, and so the settings of all are known.
        known = [name for name in BY_NAME if name.startswith(PREFIX)]
        twins = {each.file_name for each in BY_NAME.values() if each.secret}
        for name in sorted(self._texts):
            if name.startswith(PREFIX) and name not in {*known, *twins, *FOREIGN}:
                if _is_service_link(name, self.text(name)):
                    continue
                self._mistakes.append(_unknown(name, known))
        self._mistakes += _misspelt(self._texts)
        if self._mistakes:
            raise ConfigurationError(*self._mistakes)

    def _file_text(self, name: str) -> str:
        """Return what the setting's file holds, empty after a mistake."""
        twin = BY_NAME[name].file_name
        try:
            with open(self.text(twin), "rb") as file:  # noqa: PTH123 - Path() adds nothing
                raw = file.read(MAX_SECRET_BYTES + 1)
            text = raw.decode("utf-8").strip()
        except OSError as error:
            problem = f"names a file that cannot be read ({error.strerror or 'input error'})"
        except UnicodeDecodeError:
            problem = "names a file that is not UTF-8 text"
        except ValueError:
            problem = "is not the path of a file"
        else:
            if text and len(raw) <= MAX_SECRET_BYTES:
                return text
            problem = f"names a file that is {'too large' if text else 'empty'}"
        example = f"{twin}=/run/secrets/{name.lower()}"
        self._mistakes.append(
            f"{twin} {problem}; expected a file with nothing but the value, "
            f"at most {MAX_SECRET_BYTES} bytes; for example {example}"
        )
        return ""


def _is_service_link(name: str, text: str) -> bool:
    if name.endswith("_PORT") and _SERVICE_LINK_PORT.match(text):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


def _misspelt(names: Iterable[str]) -> list[str]:
    """Complain about variables that are nearly one of Clerk's: a check that is not made."""
    known = [name for name in BY_NAME if name.startswith(CLERK_PREFIX)]
    twins = {BY_NAME[name].file_name for name in known}
    complaints = []
    for name in sorted(names):
        if not name.startswith(CLERK_PREFIX) or name in {*known, *twins}:
            continue
        near = get_close_matches(name, known, n=1, cutoff=_VERY_NEAR)
        if near:
            complaints.append(f"{name} is not read by anything; did you mean {near[0]}?")
    return complaints


def _unknown(name: str, known: list[str]) -> str:
    # Compared without the prefix, which would make everything alike.
    stems = [each.removeprefix(PREFIX) for each in known]
    near = get_close_matches(name.removeprefix(PREFIX).upper(), stems, n=1, cutoff=_NEAR)
    shown = name if name.isidentifier() and name.isascii() else quoted(name)
    if not near:
        return f"{shown} is not a setting of this version; see wicketgate COMMAND --help"
    meant = PREFIX + near[0]
    return (
        f"{shown} is not a setting; did you mean {meant}? "
        f"For example {meant}={BY_NAME[meant].example}"
    )
