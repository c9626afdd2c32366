"""The copy of the keys on disk: believed only when nobody else can have written it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wicketgate.adapters.jwks_file import FUTURE_SECONDS, MAX_FILE_BYTES, KeyFile
from wicketgate.errors import EnvironmentFaultError

SOURCE = "https://able-mole-1.clerk.accounts.dev/.well-known/jwks.json"
NOW = 1_800_000_000.0
DOCUMENT = b'{"keys":[{"kid":"ins_a","kty":"RSA"}]}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "jwks.json"


@pytest.fixture
def file(path: Path) -> KeyFile:
    return key_file(path)


def key_file(path: Path, *, source: str = SOURCE) -> KeyFile:
    return KeyFile(path, source, clock=lambda: NOW)


def test_what_is_saved_is_loaded(file: KeyFile, path: Path) -> None:
    """The document and its time, in a file that only this user reads."""
    file.save(DOCUMENT, NOW)

    loaded = file.load()
    assert loaded is not None
    assert json.loads(loaded[0]) == json.loads(DOCUMENT)
    assert loaded[1] == NOW
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_bytes()).keys() == {"source", "fetched_at", "jwks"}


def test_saving_replaces_and_leaves_nothing_behind(file: KeyFile, path: Path) -> None:
    """One file, the newest."""
    file.save(DOCUMENT, NOW - 1)
    file.save(b'{"keys":[]}', NOW)

    assert file.load() == (b'{"keys": []}', NOW)
    assert list(path.parent.iterdir()) == [path]


def test_no_file_and_no_directory_are_no_copy(file: KeyFile, path: Path) -> None:
    """The first start of all."""
    assert file.load() is None
    path.parent.mkdir(mode=0o700)
    assert file.load() is None


def test_the_copy_of_another_source_is_refused(file: KeyFile, path: Path) -> None:
    """A gate that was moved to another instance must not trust the old one's keys."""
    file.save(DOCUMENT, NOW)
    with pytest.raises(EnvironmentFaultError, match="another JWKS URL"):
        key_file(path, source="https://other.example/jwks.json").load()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(file: KeyFile, path: Path, mode: int) -> None:
    """Whoever writes it plants a key."""
    file.save(DOCUMENT, NOW)
    path.chmod(mode)
    with pytest.raises(EnvironmentFaultError, match="others, who could plant a key"):
        file.load()


def test_a_file_that_others_may_read_is_fine(file: KeyFile, path: Path) -> None:
    """Public keys are public."""
    file.save(DOCUMENT, NOW)
    path.chmod(0o644)
    assert file.load() is not None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_may_write_is_refused(
    file: KeyFile, path: Path, mode: int
) -> None:
    """Both when loading and, before it matters, when saving."""
    file.save(DOCUMENT, NOW)
    path.parent.chmod(mode)
    with pytest.raises(EnvironmentFaultError, match="others may write"):
        file.load()
    with pytest.raises(EnvironmentFaultError, match="others may write"):
        file.save(DOCUMENT, NOW)


def test_a_sticky_directory_is_fine(file: KeyFile, path: Path) -> None:
    """In /tmp nobody can replace the file of somebody else."""
    file.save(DOCUMENT, NOW)
    path.parent.chmod(0o1777)
    assert file.load() is not None
    file.save(DOCUMENT, NOW)


def test_a_file_of_another_user_is_refused(file: KeyFile, path: Path) -> None:
    """In /tmp anybody can be first to make it."""
    if os.geteuid() == 0:
        file.save(DOCUMENT, NOW)
        os.chown(path, 12_345, -1)
    else:
        file = key_file(Path("/etc/hosts"))
    with pytest.raises(EnvironmentFaultError, match="belongs to uid"):
        file.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(file: KeyFile, path: Path) -> None:
    """Its owner can replace every file in it."""
    file.save(DOCUMENT, NOW)
    os.chown(path.parent, 12_345, -1)
    with pytest.raises(EnvironmentFaultError, match="directory of uid 12345"):
        file.load()


def test_a_symbolic_link_is_refused(file: KeyFile, path: Path) -> None:
    """It would lend our trust to a file elsewhere."""
    file.save(DOCUMENT, NOW)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(EnvironmentFaultError, match="cannot be read"):
        file.load()


def test_saving_replaces_a_symbolic_link_and_not_its_target(file: KeyFile, path: Path) -> None:
    """A link must not make us overwrite something."""
    path.parent.mkdir(mode=0o700)
    target = path.with_name("precious")
    target.write_text("precious")
    path.symlink_to(target)

    file.save(DOCUMENT, NOW)

    assert target.read_text() == "precious"
    assert not path.is_symlink()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["directory", "fifo"])
def test_what_is_no_regular_file_is_refused_at_once(
    file: KeyFile, path: Path, make: Callable[[Path], None]
) -> None:
    """A FIFO must not be waited for."""
    path.parent.mkdir(mode=0o700)
    make(path)
    with pytest.raises(EnvironmentFaultError, match="not a regular file"):
        file.load()


@pytest.mark.parametrize(("ahead", "believed"), [(FUTURE_SECONDS, True), (61.0, False)])
def test_a_copy_from_the_future_is_refused(file: KeyFile, ahead: float, *, believed: bool) -> None:
    """It would serve for longer than the bound."""
    file.save(DOCUMENT, NOW + ahead)
    if believed:
        assert file.load() is not None
        return
    with pytest.raises(EnvironmentFaultError, match="future"):
        file.load()


def content(**changes: object) -> bytes:
    return json.dumps(
        {"source": SOURCE, "fetched_at": NOW, "jwks": {"keys": []}, **changes}
    ).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 10_000,
        b'{"source": 1, "source": 2}',
        b'{"source":"' + SOURCE.encode() + b'","fetched_at":-1e999,"jwks":{}}',
        b'{"source":"' + SOURCE.encode() + b'","fetched_at":1e999,"jwks":{}}',
        b'{"source":"' + SOURCE.encode() + b'","fetched_at":NaN,"jwks":{}}',
        content(source=None),
        content(source=[SOURCE]),
        content(fetched_at=None),
        content(fetched_at=True),
        content(fetched_at="1800000000"),
        content(fetched_at=10**400),
        content(fetched_at=-(10**400)),
        content(jwks=None),
        content(jwks=[]),
        content(padding="x" * MAX_FILE_BYTES),
    ],
    ids=lambda raw: raw[-24:],
)
def test_a_damaged_copy_is_refused(file: KeyFile, path: Path, raw: bytes) -> None:
    """With one line that says which file."""
    file.save(DOCUMENT, NOW)
    path.write_bytes(raw)

    with pytest.raises(EnvironmentFaultError) as caught:
        file.load()

    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(noise=st.binary(max_size=8), at=st.integers(0, 120), cut=st.integers(0, 8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_nothing_but_a_fault_escapes(
    file: KeyFile, path: Path, noise: bytes, at: int, cut: int
) -> None:
    """A good file with a few bytes of noise: refused, or harmless."""
    good = content(jwks=json.loads(DOCUMENT))
    file.save(DOCUMENT, NOW)
    path.write_bytes(good[:at] + noise + good[at + cut :])
    try:
        loaded = file.load()
    except EnvironmentFaultError:
        return
    assert loaded is not None
    assert loaded[1] <= NOW + FUTURE_SECONDS


@pytest.mark.parametrize("document", [b"", b"[]", b"[" * 10_000, b'{"a":1,"a":2}'])
def test_what_is_no_document_is_not_saved(file: KeyFile, document: bytes) -> None:
    """The old copy is untouched."""
    file.save(DOCUMENT, NOW)
    with pytest.raises(EnvironmentFaultError, match="not strict JSON"):
        file.save(document, NOW)
    assert file.load() is not None


def test_a_place_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    """A file where a directory should be; and loading from there is one as well."""
    (tmp_path / "taken").write_text("")
    file = key_file(tmp_path / "taken" / "jwks.json")
    with pytest.raises(EnvironmentFaultError, match="cannot be written"):
        file.save(DOCUMENT, NOW)
    with pytest.raises(EnvironmentFaultError, match="cannot be read"):
        file.load()


def test_a_failed_replacement_leaves_no_temporary_file(file: KeyFile, path: Path) -> None:
    """The name is taken by a directory: everything is as before."""
    path.mkdir(parents=True)
    path.parent.chmod(0o700)
    with pytest.raises(EnvironmentFaultError, match="cannot be written"):
        file.save(DOCUMENT, NOW)
    assert list(path.parent.iterdir()) == [path]
