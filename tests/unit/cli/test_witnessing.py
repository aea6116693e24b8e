"""`keten witness …` and `keten ledger evidence`, through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.evidence import Compared, Evidence, encode, make
from keten.ledger.notes import Signer, checkpoint_text
from tests.unit.cli.conftest import Keten

SIGNER = Signer("ledger.example/log", Ed25519PrivateKey.from_private_bytes(b"\x71" * 32))
KEY = SIGNER.verifier_key()


def note(root: bytes, size: int = 3) -> str:
    return SIGNER.sign(checkpoint_text(SIGNER.name, size, root))


def evidence(shown: bytes) -> Evidence:
    kept = note(b"a" * 32)
    return make(
        Compared(holds=False), what="x", by="witness", source="here", ledger_key=KEY, kept=kept, shown=note(shown)
    )


def test_a_witness_is_made_and_told_what_to_watch(tmp_path: Path, keten: Keten) -> None:
    folder = str(tmp_path / "w")
    made = keten("witness", "init", folder, "--name", "witness.example/w", "--json").json()
    assert made["key"].startswith("witness.example/w+")
    other = Signer("other.example/log", Ed25519PrivateKey.generate()).verifier_key()
    added = keten("witness", "add", folder, KEY, other, "--json").json()
    assert [one["origin"] for one in added] == [SIGNER.name, "other.example/log"]
    assert keten("witness", "key", folder, "--json").json() == {
        "key": made["key"],
        "logs": {SIGNER.name: 0, "other.example/log": 0},
    }
    assert made["key"] in keten("witness", "key", folder).out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("init", "{w}", "--name", "x.example"), 2, "not empty"),
        (("init", "{w}2", "--name", "https://x.example"), 2, "without https"),
        (("init", "{w}2", "--name", "with space"), 2, "spaces"),
        (("add", "{w}", "nonsense"), 2, "not a verifier key"),
        (("add", "{w}3", KEY), 3, "not a witness"),
        (("key", "{w}3"), 3, "not a witness"),
        (("run", "{w}3"), 3, "not a witness"),
        (("run", "{w}", "--listen", "nonsense"), 2, "HOST:PORT"),
        (("run", "{w}", "--certificate", "x"), 2, "together"),
        (("run", "{w}", "--certificate", "{w}/witness.json", "--certificate-key", "{w}/witness.json"), 2, "be used"),
    ],
)
def test_wrong_use(words: tuple[str, ...], code: int, said: str, tmp_path: Path, keten: Keten) -> None:
    folder = str(tmp_path / "w")
    assert keten("witness", "init", folder, "--name", "witness.example/w").code == 0
    words = (*words, "--listen", "127.0.0.1:0") if words[0] == "run" and "--listen" not in words else words
    done = keten("witness", *(word.replace("{w}", folder) for word in words))
    assert (done.code, said in done.err) == (code, True), done.err


def test_evidence_is_judged(tmp_path: Path, keten: Keten) -> None:
    file = tmp_path / "e.json"
    file.write_bytes(encode(evidence(b"b" * 32)))
    done = keten("ledger", "evidence", str(file), "--key", KEY, "--json")
    assert (done.code, done.json()["fork"], done.json()["origin"]) == (0, True, SIGNER.name)
    shown = keten("ledger", "evidence", str(file))
    assert "It PROVES a fork" in shown.out
    assert "the key came with the evidence" in shown.out
    file.write_bytes(encode(evidence(b"a" * 32)))
    done = keten("ledger", "evidence", str(file), "--key", KEY)
    assert (done.code, "It proves no fork" in done.out) == (1, True)
    file.write_text("{}")
    assert keten("ledger", "evidence", str(file)).code == 4
    assert keten("ledger", "evidence", str(tmp_path / "none")).code == 2
    assert keten("ledger", "evidence", str(file.parent / "e.json"), "--key", "nonsense").code == 4


def test_a_ledger_against_what_was_kept(
    home: Path, keten: Keten, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "kept"
    kept.write_text((home / "ledger" / "checkpoint").read_text())
    done = keten("ledger", "verify", "--home", str(home), "--against", str(kept))
    assert (done.code, "1 kept checkpoints" in done.out) == (0, True)
    kept.write_text(note(b"x" * 32))
    done = keten("ledger", "verify", "--home", str(home), "--against", str(kept))
    assert (done.code, "against" in done.out) == (1, True)
    assert not (tmp_path / "keten-evidence").exists()  # another log's: no evidence against this one
    kept.write_text("nonsense")
    assert keten("ledger", "verify", "--home", str(home), "--against", str(kept)).code == 2
