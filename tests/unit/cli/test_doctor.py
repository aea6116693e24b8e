"""The doctor finds each thing that it says it looks for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.cli.doctor import content, network
from keten.cli.doctor.command import _carried_out
from keten.cli.doctor.findings import Case, Check
from keten.core.db import reading_engine
from keten.core.errors import Unavailable
from keten.core.settings import Paths
from keten.drills.neighbours import until
from keten.keeper.certificates import create_authority, issue
from keten.ledger.cosignatures import Cosigner
from tests.unit.cli.conftest import Done, Keten
from tests.unit.cli.town import estate

Doctor = Callable[..., dict[str, str]]


@pytest.fixture
def doctor(home: Path, keten: Keten) -> Doctor:
    """What the doctor finds: code → severity."""

    def call() -> dict[str, str]:
        done: Done = keten("doctor", "--home", str(home), "--json")
        said: dict[str, Any] = done.json()
        assert done.code == (0 if said["ok"] else 1)
        assert said["ok"] == all(one["severity"] != "wrong" for one in said["findings"])
        return {one["code"]: one["severity"] for one in said["findings"]}

    return call


def test_a_new_instance_has_nothing_wrong(doctor: Doctor, home: Path, keten: Keten) -> None:
    found = doctor()
    assert "wrong" not in found.values()
    assert found["key-bare"] == "weak"
    assert found["one-user"] == "weak"
    assert found["no-witness"] == "weak"
    assert found["stopped"] == "note"
    assert found["gateway-loopback"] == "note"
    shown = keten("doctor", "--home", str(home))
    assert shown.code == 0
    assert "Nothing is wrong." in shown.out


def test_files_that_others_can_read_or_write(doctor: Doctor, home: Path) -> None:
    paths = Paths(home)
    for path, mode, code in (
        (paths.root_key, 0o644, "readable-by-others"),
        (paths.tls_key, 0o640, "readable-by-others"),
        (paths.gateway, 0o755, "readable-by-others"),
        (paths.settings, 0o666, "writable-by-others"),
        (paths.ledger, 0o777, "writable-by-others"),
        (paths.database, 0o666, "writable-by-others"),
    ):
        before = path.stat().st_mode
        path.chmod(mode)
        assert doctor()[code] == "wrong", path
        path.chmod(before)
    assert "wrong" not in doctor().values()
    paths.database_folder.chmod(0o755)
    assert doctor()["database-readable"] == "weak"


def test_a_damaged_ledger(doctor: Doctor, home: Path) -> None:
    checkpoint = home / "ledger" / "checkpoint"
    origin, size, rest = checkpoint.read_text().split("\n", 2)
    checkpoint.write_text(f"{origin}\n{int(size) + 1}\n{rest}")
    assert doctor()["ledger"] == "wrong"


@pytest.fixture
def filled(home: Path, keten: Keten) -> Path:
    """The instance with the estate and three files."""
    file = home.parent / "estate.yaml"
    file.write_text(estate())
    assert keten("apply", str(file), "--home", str(home)).code == 0
    for name in ("one.csv", "two.csv", "three.csv"):
        (home.parent / name).write_text("id\n1\n")
        assert keten("put", "voters", str(home.parent / name), "--home", str(home)).code == 0
    return home


def _change(home: Path, statement: str) -> None:
    with sqlite3.connect(Paths(home).database) as database:
        assert database.execute(statement).rowcount == 1
    database.close()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE contracts SET body = replace(body, '2026-12-31', '2036-12-31')", "'vwo-1'"),
        ("UPDATE grants SET name = 'other'", "'other'"),
        ("UPDATE clients SET entry = entry - 1", "'drukwerk-batch'"),
        ("DELETE FROM contracts", "the row is missing"),
        (
            "INSERT INTO datasets SELECT iif(id LIKE 'a%', 'b', 'a') || substr(id, 2), name, body, entry FROM datasets",
            "'voters'",
        ),
    ],
)
def test_a_row_that_is_not_what_was_recorded(
    doctor: Doctor, filled: Path, keten: Keten, statement: str, named: str
) -> None:
    assert "wrong" not in doctor().values()
    _change(filled, statement)
    assert doctor()["register-row"] == "wrong"
    assert named in keten("doctor", "--home", str(filled)).out


def test_content_that_is_gone_or_cut_off(doctor: Doctor, filled: Path, keten: Keten) -> None:
    first, second, _third = sorted(path for path in Paths(filled).store.rglob("*") if path.is_file())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert doctor()["content"] == "wrong"
    shown = [line for line in keten("doctor", "--home", str(filled)).out.splitlines() if "content of a file" in line]
    assert len(shown) == 2
    assert all(".csv'" in line for line in shown)
    assert any("missing" in line for line in shown)


def test_a_part_that_was_looked_at_is_said(
    doctor: Doctor, filled: Path, keten: Keten, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not {"register-part", "content-part"} & set(doctor())
    monkeypatch.setattr(content, "MOST", 2)
    assert (doctor()["register-part"], doctor()["content-part"]) == ("note", "note")
    for path in Paths(filled).store.rglob("*"):
        if path.is_file():
            path.unlink()
    shown = keten("doctor", "--home", str(filled)).out
    assert shown.count("The content of a file does not hold") == 2
    monkeypatch.setattr(content, "MOST", 100)
    monkeypatch.setattr(content, "NAMED", 1)
    assert "and 2 more" in keten("doctor", "--home", str(filled)).out


def test_a_database_that_is_gone(doctor: Doctor, home: Path) -> None:
    (home / "db" / "keten.db").write_bytes(b"nonsense" * 1000)
    for extra in ("keten.db-wal", "keten.db-shm"):
        (home / "db" / extra).unlink(missing_ok=True)
    assert "wrong" in doctor().values()


def test_little_room(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 500 << 20

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage)
    assert doctor()["disk-low"] == "weak"
    Usage.free = 1 << 20
    assert doctor()["disk-full"] == "wrong"


def test_certificates(doctor: Doctor, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keten.keeper import certificates

    path = Paths(home).tls_certificate
    for days, code, severity in (
        (20, "certificate-ends", "weak"),
        (5, "certificate-ends", "wrong"),
        (0, "certificate-expired", "wrong"),
    ):
        monkeypatch.setattr(certificates, "CERTIFICATE_DAYS", days)
        path.write_bytes(issue(create_authority("x"), ("127.0.0.1",)).certificate)
        assert doctor()[code] == severity
    path.write_text("nonsense")
    assert doctor()["unknown-certificate"] == "wrong"
    monkeypatch.setattr(certificates, "CERTIFICATE_DAYS", 365)
    path.write_bytes(issue(create_authority("x"), ("elsewhere.example",)).certificate)
    (home / "keten.toml").write_text(f'[gateway]\ncertificate = "{path}"\ncertificate_key = "{path}"\n')
    assert doctor()["certificate-hosts"] == "wrong"


def test_contracts_that_name_countries_nobody_can_know(doctor: Doctor, home: Path, keten: Keten) -> None:
    file = home.parent / "estate.yaml"
    file.write_text(estate(countries="NL, BE"))
    assert keten("apply", str(file), "--home", str(home)).code == 0
    assert doctor()["country-unknown"] == "wrong"
    (home / "keten.toml").write_text('[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n')
    assert "country-unknown" not in doctor()
    (home / "keten.toml").write_text(f'[geo]\ndatabase = "{home}/none.mmdb"\n')
    assert doctor()["geo-missing"] == "wrong"


def test_listeners(doctor: Doctor, home: Path) -> None:
    (home / "keten.toml").write_text(
        '[gateway]\nbind = "off"\n[sftp]\nbind = "0.0.0.0:22"\n[console]\nbind = "0.0.0.0:80"\n'
    )
    found = doctor()
    assert not {"gateway-loopback", "sftp-loopback"} & set(found)
    assert found["console-open"] == "weak"
    assert network._is_loopback("localhost")


def test_a_passphrase_beside_its_key(doctor: Doctor, home: Path) -> None:
    beside = home / "passphrase"
    beside.write_text("x" * 20)
    beside.chmod(0o644)
    (home / "keten.toml").write_text(f'[keeper]\npassphrase_file = "{beside}"\n')
    found = doctor()
    assert found["passphrase-file"] == "wrong"
    assert found["passphrase-beside-key"] == "weak"


def test_a_check_that_cannot_be_carried_out_is_not_fine(home: Path, surroundings: Any) -> None:
    engine = reading_engine(Paths(home).database)
    case = Case(surroundings.instance(str(home)), engine, None, None)

    def fails(_case: Case) -> Any:
        raise Unavailable("x", "The disk is asleep.")

    check: Check = fails
    (finding,) = _carried_out(check, case)
    engine.dispose()
    assert (finding.severity, finding.code) == ("wrong", "unknown-fails")
    assert "not known" in finding.what


def test_outsiders_that_do_not_sign(doctor: Doctor, home: Path) -> None:
    cosigner = Cosigner("witness.example/w", Ed25519PrivateKey.generate())
    (home / "w.policy").write_text(f"witness w {cosigner.key.verifier_key()} http://w.example\nquorum w\n")
    (home / "keten.toml").write_text('[witnesses]\npolicy = "w.policy"\n')
    found = doctor()
    assert not {"no-witness", "outside-late", "witness-disagrees"} & set(found)
    (home / "keten.toml").write_text('[witnesses]\npolicy = "w.policy"\nlimit = "1s"\n')
    assert until(lambda: "outside-late" in doctor())
    assert doctor()["outside-late"] == "weak"  # it is stopped
    (home / "w.policy").write_text("nonsense\n")
    assert doctor()["unknown-outside"] == "wrong"


def test_a_clock_that_has_not_jumped_is_not_accepted(home: Path, keten: Keten) -> None:
    done = keten("doctor", "--accept-clock", "--home", str(home), "--json")
    assert done.json() == {"accepted": False, "entry": None}
    assert "nothing to accept" in keten("doctor", "--accept-clock", "--home", str(home)).out
    shown = keten("ledger", "show", "--kind", "keeper.clock.accepted", "--home", str(home), "--json").out
    assert shown == ""
