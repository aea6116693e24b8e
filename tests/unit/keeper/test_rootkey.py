"""The root key: bare, under a passphrase, as a credential, damaged, missing; never overwritten, never readable."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keten.core.errors import Corrupt, Denied, Invalid, Unavailable
from keten.core.settings import Keeper, Settings
from keten.keeper.rootkey import create_root_key, load_root_key

PASSPHRASE = b"correct horse battery staple"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "keeper").mkdir()
    return tmp_path


def settings(home: Path, passphrase_file: str = "") -> Settings:
    return Settings(home=str(home), keeper=Keeper(passphrase_file=passphrase_file))


def test_bare(home: Path) -> None:
    path = settings(home).paths.root_key
    made = create_root_key(path, None)
    assert made.kind == "bare"
    assert len(made.key) == 32
    assert path.read_bytes() == made.key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_root_key(settings(home), None) == made


def test_it_is_never_overwritten(home: Path) -> None:
    path = settings(home).paths.root_key
    made = create_root_key(path, None)
    with pytest.raises(Invalid) as caught:
        create_root_key(path, None)
    assert caught.value.code == "key-exists"
    assert path.read_bytes() == made.key


def test_under_a_passphrase(home: Path, tmp_path: Path) -> None:
    """One test for all of it: each try takes a good part of a second, on purpose."""
    path = settings(home).paths.root_key
    made = create_root_key(path, PASSPHRASE)
    assert made.key not in path.read_bytes()
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE + b"\r\n")
    found = load_root_key(settings(home, str(passphrase)), None)
    assert (found.key, found.kind) == (made.key, "passphrase")

    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "keten-passphrase").write_bytes(PASSPHRASE)
    assert load_root_key(settings(home), credentials).key == made.key

    passphrase.write_bytes(PASSPHRASE[:-1])
    with pytest.raises(Denied) as wrong:
        load_root_key(settings(home, str(passphrase)), None)
    assert wrong.value.code == "wrong-passphrase"

    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(bytes(damaged))
    passphrase.write_bytes(PASSPHRASE)
    with pytest.raises(Denied):
        load_root_key(settings(home, str(passphrase)), None)
    path.write_bytes(bytes(damaged[:40]))
    with pytest.raises(Corrupt):
        load_root_key(settings(home, str(passphrase)), None)


def test_a_passphrase_that_is_not_given(home: Path) -> None:
    create_root_key(settings(home).paths.root_key, PASSPHRASE)
    for place in ("", str(home / "nowhere")):
        with pytest.raises(Unavailable) as caught:
            load_root_key(settings(home, place), None)
        assert caught.value.code == "passphrase-missing"


def test_a_credential_wins(home: Path, tmp_path: Path) -> None:
    create_root_key(settings(home).paths.root_key, None)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "keten-root-key").write_bytes(b"k" * 32)
    found = load_root_key(settings(home), credentials)
    assert (found.key, found.kind) == (b"k" * 32, "credential")
    settings(home).paths.root_key.unlink()
    assert load_root_key(settings(home), credentials) == found, "the file is not needed then"


@pytest.mark.parametrize("content", [b"", b"k", b"k" * 31, b"k" * 33, b"k" * 32 + b"\n"])
def test_a_key_of_a_wrong_size_is_damaged(home: Path, tmp_path: Path, content: bytes) -> None:
    settings(home).paths.root_key.write_bytes(content)
    (tmp_path / "keten-root-key").write_bytes(content)
    for credentials in (None, tmp_path):
        with pytest.raises(Corrupt) as caught:
            load_root_key(settings(home), credentials)
        assert caught.value.code == "key-damaged"


def test_no_key_is_no_instance(home: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        load_root_key(settings(home), home)
    assert caught.value.code == "key-missing"
