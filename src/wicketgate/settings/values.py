"""The words of the environment, made into values.

Pure: one text in, one value out. Whatever cannot be used raises
`InvalidValueError`, whose message completes the sentence "``NAME`` …": what is
wrong, then what was expected. Nothing that may be a secret is quoted.

Source: RFC 7468 section 2 (PEM); RFC 9110 section 5.1 (header names).
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from wicketgate.core.identity import PRINCIPAL_HEADER, USER_HEADER, spellings_of
from wicketgate.core.keys import KeySet, UnusableKeysError
from wicketgate.core.service_token import MIN_LENGTH, complaint_about
from wicketgate.core.webhook import complaint_about_secret

Value = TypeVar("Value")
Word = TypeVar("Word", bound=StrEnum)


class InvalidValueError(ValueError):
    """The text cannot be used. The message says why and never holds a secret."""


class LogLevel(StrEnum):
    """From which level on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_QUOTED: Final = 40
_NOT_TO_BE_QUOTED: Final = re.compile(r"[@?]|\bsk_|whsec_|-----BEGIN")
"""Passwords and queries in URLs, Clerk's secrets and keys: pasted into the wrong variable."""

_VISIBLE: Final = re.compile(r"[!-~]+")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_PEM: Final = re.compile(
    r"\s*-----BEGIN (?P<label>[A-Z ]+)-----(?P<body>.*)-----END (?P=label)-----\s*", re.DOTALL
)
_PEM_LINE: Final = 64
"""RFC 7468 section 2: generators MUST wrap lines at 64 characters."""

_BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_INSTANCE_ID: Final = re.compile(r"ins_[A-Za-z0-9_]{1,64}")
_SECRET_KEY: Final = re.compile(r"sk_(?:test|live)_[!-~]{8,256}")
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""What needs no quotes in SQL, and fits (PostgreSQL, "Identifiers and Key Words")."""
_HEADER_NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")
_MAX_SEPARATORS: Final = 6
"""Every mixture of ``-`` and ``_`` is stripped from clients: 64 spellings, and no more."""
_MEANINGFUL_HEADERS: Final = (PRINCIPAL_HEADER, "authorization", "cookie", "host")
_FRAMING_HEADERS: Final = ("connection", "content-length", "te", "transfer-encoding", "upgrade")
_TAKEN_HEADERS: Final = frozenset(
    {
        USER_HEADER,
        *(
            spelling
            for name in (*_MEANINGFUL_HEADERS, *_FRAMING_HEADERS)
            for spelling in spellings_of(name)
        ),
    }
)


def quoted(text: str) -> str:
    """Return the beginning of `text`, quoted, on one line; or a word in its place.

    The word stands for whatever looks as if it held a secret.
    """
    if _NOT_TO_BE_QUOTED.search(text):
        return "a value that is not repeated here"
    return repr(text[:_QUOTED]) + ("…" if len(text) > _QUOTED else "")


def boolean(text: str) -> bool:
    """Read a truth value, in any case."""
    value = _BOOLEANS.get(text.lower())
    if value is None:
        msg = f"is {quoted(text)}; expected true or false (or 1, 0, yes, no, on, off)"
        raise InvalidValueError(msg)
    return value


def word_of(words: type[Word]) -> Callable[[str], Word]:
    """Return the reader of one of `words`, in any case."""

    def read(text: str) -> Word:
        try:
            return words(text.lower())
        except ValueError:
            msg = f"is {quoted(text)}; expected {' or '.join(words)}"
            raise InvalidValueError(msg) from None

    return read


def seconds_between(lowest: float, highest: float) -> Callable[[str], float]:
    """Return the reader of a number of seconds, limits included."""

    def read(text: str) -> float:
        # Digits only: float() would also take "nan", "inf", "1e3" and "1_0".
        if _NUMBER.fullmatch(text) is None or not lowest <= float(text) <= highest:
            msg = f"is {quoted(text)}; expected seconds from {lowest:g} to {highest:.12g}"
            raise InvalidValueError(msg)
        return float(text)

    return read


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    if _NUMBER.fullmatch(text) is None or float(text) > 1:
        msg = f"is {quoted(text)}; expected a share from 0 to 1, such as 0.05"
        raise InvalidValueError(msg)
    return float(text)


def count_between(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the reader of a whole number, limits included."""

    def read(text: str) -> int:
        if _NUMBER.fullmatch(text) is None or "." in text or not lowest <= int(text) <= highest:
            msg = f"is {quoted(text)}; expected a whole number from {lowest} to {highest}"
            raise InvalidValueError(msg)
        return int(text)

    return read


def list_of(item: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """Return the reader of a comma-separated list, without repetitions.

    An empty item is refused: in a list of what is accepted it is nothing that
    anybody meant.
    """

    def read(text: str) -> tuple[Value, ...]:
        values: dict[Value, None] = {}
        for number, part in enumerate(text.split(","), start=1):
            if not part.strip():
                msg = f"has an empty item {number}; expected items separated by single commas"
                raise InvalidValueError(msg)
            try:
                values[item(part.strip())] = None
            except InvalidValueError as error:
                where = f"item {number} " if "," in text else ""
                raise InvalidValueError(where + str(error)) from None
        return tuple(values)

    return read


def is_visible(text: str) -> bool:
    """Tell whether `text` is one word of visible ASCII."""
    return _VISIBLE.fullmatch(text) is not None


def visible(text: str) -> str:
    """Read one word of visible ASCII."""
    if not is_visible(text):
        msg = f"is {quoted(text)}; expected visible ASCII characters without spaces"
        raise InvalidValueError(msg)
    return text


def path(text: str) -> Path:
    """Read the path of a file, which need not be there."""
    if not text.isprintable():
        msg = f"is {quoted(text)}; expected the path of a file, in printable characters"
        raise InvalidValueError(msg)
    return Path(text)


def pem_keys(text: str) -> KeySet:
    r"""Read one public key in PEM form, also when it was squeezed onto one line.

    Operators paste it with ``\n`` in two characters, with spaces, or with
    nothing at all where the line breaks were.
    """
    unescaped = text.replace("\\r", "").replace("\\n", "\n")
    found = _PEM.fullmatch(unescaped)
    if found is not None:
        body = "".join(found["body"].split())
        lines = (body[at : at + _PEM_LINE] for at in range(0, len(body), _PEM_LINE))
        frame = f"{found['label']}-----"
        unescaped = "\n".join((f"-----BEGIN {frame}", *lines, f"-----END {frame}", ""))
    try:
        return KeySet.from_pem(unescaped)
    except UnusableKeysError as error:
        msg = f"cannot be used: {error}; expected the JWKS Public Key of Clerk's dashboard"
        raise InvalidValueError(msg) from None


def service_token(text: str) -> str:
    """Read one service token."""
    complaint = complaint_about(text)
    if complaint is not None:
        msg = (
            f"{complaint}; expected {MIN_LENGTH} random characters or more, commas between several"
        )
        raise InvalidValueError(msg)
    return text


def signing_secret(text: str) -> str:
    """Read one signing secret of a webhook endpoint; it is never quoted."""
    complaint = complaint_about_secret(text)
    if complaint is not None:
        msg = f"{complaint}; expected the signing secret of an endpoint in Clerk's dashboard"
        raise InvalidValueError(msg)
    return text


def secret_key(text: str) -> str:
    """Read Clerk's key to its Backend API; it is never quoted."""
    expected = "expected the key that begins with sk_test_ or sk_live_ in Clerk's dashboard"
    if text.startswith("pk_"):
        msg = f"is a publishable key, which opens nothing; {expected}"
    elif _SECRET_KEY.fullmatch(text) is None:
        msg = f"is not a secret key; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def instance_id(text: str) -> str:
    """Read the id of a Clerk instance."""
    if _INSTANCE_ID.fullmatch(text) is None:
        msg = f"is {quoted(text)}; expected the id of a Clerk instance, which begins with ins_"
        raise InvalidValueError(msg)
    return text


def schema(text: str) -> str:
    """Read the name of a Postgres schema."""
    expected = "expected a-z, 0-9 and _, no digit first, at most 63 characters"
    if _SCHEMA.fullmatch(text) is None:
        msg = f"is {quoted(text)}; {expected}"
    elif text.startswith("pg_") or text == "information_schema":
        msg = f"is {quoted(text)}, which is Postgres' own; {expected}"
    else:
        return text
    raise InvalidValueError(msg)


def header_alias(text: str) -> str:
    """Read the name of a further header for the user id; returned in lower case."""
    name = text.lower()
    expected = "expected a header name of its own made of a-z, 0-9, _ and -"
    if _HEADER_NAME.fullmatch(name) is None:
        msg = f"is {quoted(text)}; {expected}, at most 64 characters"
    elif name in _TAKEN_HEADERS:
        msg = f"is {quoted(text)}, which has another meaning; {expected}"
    elif name.count("-") + name.count("_") > _MAX_SEPARATORS:
        msg = f"is {quoted(text)}; {expected}, at most {_MAX_SEPARATORS} of them _ or -"
    else:
        return name
    raise InvalidValueError(msg)
