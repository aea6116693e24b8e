from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from keten.core.certificates import read
from keten.core.crypto import is_sealed
from keten.core.settings import Paths
from keten.suppliers.reading import parse
from tests.unit.cli.conftest import Keten


def test_a_new_instance(tmp_path: Path, keten: Keten) -> None:
    made = tmp_path / "a" / "i"
    done = keten("init", "--home", str(made), "--host", "files.example", "--host", "192.0.2.7", "--json")
    assert done.code == 0
    said = done.json()
    paths = Paths(made)
    assert said["home"] == str(made)
    assert said["key"] == "bare"
    assert (paths.ledger / "key.pub").read_text().startswith(said["origin"] + "+")
    assert read(paths.tls_certificate).hosts == ("files.example", "192.0.2.7")
    assert stat.S_IMODE(paths.root_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.keeper.stat().st_mode) == 0o700


def test_home_may_come_from_the_environment(tmp_path: Path, keten: Keten) -> None:
    assert keten("init", home=str(tmp_path / "i")).code == 0
    assert (tmp_path / "i" / "ledger" / "checkpoint").exists()


def test_the_first_file_that_it_prints_is_an_estate_with_an_administrator(tmp_path: Path, keten: Keten) -> None:
    said = keten("init", home=str(tmp_path / "i")).out
    shown = said.partition("first.yaml, say,\n\n")[2].partition("\n\nthen apply it")[0]
    estate = parse(shown.encode(), "first.yaml")
    assert [one.roles for one in estate.people] == [("administrator",)]
    assert f"keten person invite {estate.people[0].id} --home" in said


def test_never_over_something(home: Path, tmp_path: Path, keten: Keten) -> None:
    before = (home / "keeper" / "root.key").read_bytes()
    assert keten("init", "--home", str(home)).code == 2
    assert (home / "keeper" / "root.key").read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    assert keten("init", "--home", str(other)).code == 2
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    assert keten("init", "--home", str(occupied)).code in (2, 3)
    assert occupied.read_text() == "mine"


def test_a_passphrase_seals_the_key_and_up_knows_where_it_is(tmp_path: Path, keten: Keten) -> None:
    passphrase = tmp_path / 'a "quoted" name'
    passphrase.write_text("correct horse battery staple\n")
    made = tmp_path / "i"
    done = keten("init", "--home", str(made), "--passphrase-file", str(passphrase))
    assert done.code == 0
    assert is_sealed((made / "keeper" / "root.key").read_bytes())
    assert tomllib.loads((made / "keten.toml").read_text())["keeper"]["passphrase_file"] == str(passphrase)
    assert "correct horse" not in (made / "keten.toml").read_text()
    decided = keten("decide", "nobody", "open", "nothing", "--home", str(made), "--json")
    assert decided.json()["outcome"] == "deny"
    passphrase.write_text("something else\n")
    refused = keten("decide", "nobody", "open", "nothing", "--home", str(made))
    assert refused.code == 1
    assert "passphrase" in refused.err


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_no_empty_passphrase(content: bytes, tmp_path: Path, keten: Keten) -> None:
    (tmp_path / "p").write_bytes(content)
    assert keten("init", "--home", str(tmp_path / "i"), "--passphrase-file", str(tmp_path / "p")).code == 2
    assert not (tmp_path / "i").exists()


def test_a_missing_passphrase_file(tmp_path: Path, keten: Keten) -> None:
    done = keten("init", "--home", str(tmp_path / "i"), "--passphrase-file", str(tmp_path / "p"))
    assert done.code == 3
    assert str(tmp_path / "p") in done.err
    assert not (tmp_path / "i").exists()


def test_a_path_too_long_for_a_socket_is_refused_beforehand(tmp_path: Path, keten: Keten) -> None:
    made = tmp_path / ("x" * 100)
    done = keten("init", "--home", str(made))
    assert done.code == 2
    assert "too long" in done.err
    assert not made.exists()


def test_a_malformed_host(tmp_path: Path, keten: Keten) -> None:
    assert keten("init", "--home", str(tmp_path / "i"), "--host", "..").code == 2
    assert not (tmp_path / "i").exists()
