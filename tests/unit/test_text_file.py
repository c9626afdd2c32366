"""Small text files that an operator writes: read, or refused in one line."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from wicketgate.adapters.text_file import MAX_BYTES, read_text, read_text_and_digest
from wicketgate.errors import ConfigurationError


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_text(path)
    (line,) = caught.value.mistakes
    return line


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"a: b\r\n", "a: b\r\n"),
        ("é 日本\n".encode(), "é 日本\n"),
        ("\ufeffa".encode(), "a"),
        (b"\0", "\0"),
    ],
)
def test_text_is_read_as_it_is_but_for_the_mark_of_its_encoding(
    raw: bytes, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)

    assert expected == read_text(path)


def test_the_digest_is_that_of_the_bytes_as_they_are(tmp_path: Path) -> None:
    """So that sha256sum says the same."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: b\r\n")

    assert read_text_and_digest(path) == ("a: b\r\n", sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("raw", "number"), [(b"\xff\xfea\0", 1), (b"ab\xe9", 3), (b"a\xed\xa0\x80", 2)]
)
def test_what_is_not_utf_8_is_refused(raw: bytes, number: int, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)

    assert refusal(path) == f"{path}: byte {number} is not UTF-8; expected a file of text"


@pytest.mark.parametrize(
    ("name", "why"), [("nowhere", "no such file or directory"), (".", "is a directory")]
)
def test_what_cannot_be_read_is_refused(name: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / name

    assert refusal(path) == f"{path}: cannot be read ({why}); expected a file of text"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert refusal(path) == f"{path}: is no regular file; expected a file of text"


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"a" * MAX_BYTES)

    assert len(read_text(path)) == MAX_BYTES


def test_a_file_without_end_is_refused_before_memory_is_full() -> None:
    path = Path("/dev/zero")

    expected = f"{path}: has more than {MAX_BYTES} bytes; expected a smaller file"
    assert expected == refusal(path)
