"""The operator's commands, on an instance whose keeper runs; those on a stopped one are in test_stopped.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.app import settings
from keten.cli.main import run
from keten.cli.processes import Child
from keten.cli.surroundings import Surroundings
from keten.core.ids import is_id
from keten.ledger.notes import Signer, Verifier
from keten.ledger.prooffile import parse_proof, verify_proof
from tests.unit.cli.conftest import Done
from tests.unit.cli.town import estate

Run = Callable[..., Done]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An instance with the estate applied, whose keeper runs."""
    made = tmp_path_factory.mktemp("operator") / "i"
    around = Surroundings("", made.parent / "config", "en", {}, settings)
    assert run(["init", "--home", str(made)], around) == 0
    keeper = Child("keeper", made)
    try:
        keeper.wait_ready(60)
        (made.parent / "estate.yaml").write_text(estate())
        assert run(["apply", str(made.parent / "estate.yaml"), "--home", str(made)], around) == 0
        yield made
    finally:
        keeper.stop(30)


@pytest.fixture
def at(running: Path, surroundings: Surroundings, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the running instance."""

    def call(*words: str, **changes: Any) -> Done:
        capfd.readouterr()
        changes.setdefault("home", str(running))
        code = run(list(words), msgspec.structs.replace(surroundings, **changes))
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "voters.csv"
    path.write_text("id,name\n" + "".join(f"{n},Kiezer {n}\n" for n in range(1000)))
    return path


# ---- apply --------------------------------------------------------------------------------------------------------


def test_a_plan_changes_nothing(at: Run, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(estate(extra="  - {id: more, owner: dpo, classification: public, retention_days: 1}\n"))
    planned = at("apply", str(path), "--plan", "--json").json()
    assert [(one["kind"], one["name"], one["change"]) for one in planned["changes"]] == [
        ("dataset", "more", "declared")
    ]
    again = at("apply", str(path), "--plan", "--json").json()
    assert [one["change"] for one in again["changes"]] == ["declared"]
    shown = at("apply", str(path), "--plan").out
    assert "+ dataset more" in shown
    assert "1 to declare" in shown


def test_applying_again_changes_nothing(at: Run, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(estate())
    applied = at("apply", str(path), "--json").json()
    assert applied["changes"] == []
    assert "Nothing was changed: the register is what the estate says." in at("apply", str(path)).out
    assert all(is_id(found) for names in applied["ids"].values() for found in names.values())
    assert set(applied["ids"]["client"]) == {"drukwerk-batch"}


def test_every_mistake_with_file_and_line(at: Run, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(
        estate().replace("purpose: election-cards", "purpose: something-else").replace("tier: high", "tier: huge")
    )
    done = at("apply", str(path))
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if f"{path}:" in line]
    assert len(lines) >= 2
    assert all(line.partition(f"{path}:")[2].partition(":")[0].isdigit() for line in lines)
    assert all(line.startswith(f"{path}:") for line in lines), "as editors know it"
    assert done.err.splitlines()[-1] == "keten: 2 mistakes; nothing was changed"
    assert at("apply", str(tmp_path / "nothing.yaml")).code == 2


# ---- put ----------------------------------------------------------------------------------------------------------


def test_put_and_put_again(at: Run, csv: Path) -> None:
    first = at("put", "voters", str(csv), "--json").json()["objects"][0]
    assert (first["records"], first["unchanged"], first["media_type"]) == (1000, False, "text/csv")
    again = at("put", "voters", str(csv), "--json").json()["objects"][0]
    assert (again["object"], again["unchanged"]) == (first["object"], True)
    csv.write_text("id,name\n1,other\n")
    taken = at("put", "voters", str(csv))
    assert taken.code == 2
    assert "--replace" in taken.err
    replaced = at("put", "voters", str(csv), "--replace", "--json").json()["objects"][0]
    assert replaced["object"] != first["object"]


def test_put_under_another_name_and_type(at: Run, csv: Path) -> None:
    put = at("put", "voters", str(csv), "--as", "other name.bin", "--media-type", "Text/CSV", "--json")
    assert (put.json()["objects"][0]["name"], put.json()["objects"][0]["records"]) == ("other name.bin", 1000)


def test_what_cannot_be_put(at: Run, csv: Path, tmp_path: Path, running: Path) -> None:
    before = sorted((running / "store").rglob("*"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    unreadable = tmp_path / "closed"
    for words, code, text in (
        (("voters", str(tmp_path)), 2, "folder"),
        (("voters", str(tmp_path / "nothing")), 2, "No such file"),
        (("voters", str(fifo)), 2, "regular"),
        (("voters", str(csv), str(csv)), 2, "same name"),
        (("voters", str(csv), str(unreadable), "--as", "x"), 2, "one file"),
        (("voters", str(csv), "--as", "../x"), 2, "separator"),
        (("voters", str(csv), "--as", "."), 2, "name"),
        (("voters", str(csv), "--media-type", "nonsense"), 2, "type/subtype"),
        (("nothing-such", str(csv)), 2, "apply"),
        (("voters", "a\0b"), 2, ""),
    ):
        done = at("put", *words)
        assert (done.code, done.out) == (code, ""), words
        assert text in done.err, words
        assert "Traceback" not in done.err
    assert sorted((running / "store").rglob("*")) == before


def test_several_files_and_one_that_fails(at: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.bin", tmp_path / "bad.parquet"
    good.write_bytes(b"x" * 10)
    bad.write_bytes(b"PAR1 this is no parquet PAR1")
    done = at("put", "voters", str(good), str(bad), "--json")
    assert done.code == 2
    assert [one["name"] for one in done.json()["objects"]] == ["good.bin"]
    assert "1 of 2" in done.err


def test_a_file_that_changes_while_it_is_put(
    at: Run, csv: Path, monkeypatch: pytest.MonkeyPatch, running: Path
) -> None:
    from keten.cli.operator import content

    original = content._write

    def change(*words: Any) -> int:
        csv.write_text("id,name\n1,changed\n" + "x" * 9000)
        return original(*words)

    monkeypatch.setattr(content, "_write", change)
    done = at("put", "voters", str(csv), "--as", "changing.csv")
    assert done.code == 2
    assert "changed" in done.err
    monkeypatch.undo()
    before = {path for path in (running / "store").rglob("*") if path.is_file()}
    assert at("put", "voters", str(csv), "--as", "changing.csv").code == 0
    assert len({path for path in (running / "store").rglob("*") if path.is_file()} - before) == 1


# ---- decide -------------------------------------------------------------------------------------------------------


def test_decide_in_both_languages(at: Run) -> None:
    allowed = at("decide", "drukwerk-batch", "open", "voters", "--at", "2026-06-01", "--country", "nl", "--json")
    assert (allowed.code, allowed.json()["outcome"]) == (0, "allow")
    words = ("decide", "drukwerk-batch", "open", "voters", "--at", "2027-01-01")
    english, dutch = at(*words), at(*words, language="nl")
    assert (english.code, dutch.code) == (1, 1)
    assert "The contract has ended." in english.out
    assert "afgelopen" in dutch.out
    assert at(*words, "--lang", "nl").out == dutch.out
    denied = at(*words, "--json").json()
    assert denied["reasons"] == ["contract-ended"]
    assert denied["attributes"]["action"] == "open"


def test_what_cannot_be_decided(at: Run) -> None:
    for words in (
        (),
        ("drukwerk-batch", "open"),
        ("drukwerk-batch", "open", "voters", "--at", "tomorrow"),
        ("drukwerk-batch", "open", "voters", "--at", "2026-06-01T10:00"),
        ("drukwerk-batch", "open", "voters", "--country", "Nederland"),
        ("drukwerk-batch", "open", "voters", "--lang", "fr"),
        ("drukwerk-batch", "open", "voters", "--replay", "x"),
    ):
        assert at("decide", *words).code == 2, words
    assert at("decide", "--replay", "a" * 25 + "e").code == 2


def test_a_name_that_nobody_has_is_wrong_use(at: Run, csv: Path) -> None:
    nobody = "a" * 25 + "e"  # the form of a random id
    for words in (
        ("put", "nothing-such", str(csv)),
        ("put", nobody, str(csv)),
        ("revoke", "grant", "nothing-such", "--reason", "x"),
        ("revoke", "grant", nobody, "--reason", "x"),
        ("destroy", "dataset", "nothing-such", "--reason", "x", "--yes"),
        ("ledger", "custody", "--dataset", nobody),
        ("ledger", "custody", "--subject", nobody),
        ("ledger", "show", "--supplier", nobody),
        ("ledger", "show", "--object", nobody),
        ("ledger", "prove", nobody),
        ("ledger", "prove", "999999"),
        ("decide", "--replay", nobody),
    ):
        done = at(*words, "--json")
        assert (done.code, done.out) == (2, ""), words
        assert "There is no" in done.err, words


def test_deciding_about_nobody_is_denied_and_says_so(at: Run) -> None:
    done = at("decide", "nobody", "open", "voters/nothing", "--json")
    assert (done.code, done.json()["reasons"]) == (1, ["absent"])
    assert "There is no client 'nobody'" in done.err
    assert "There is no 'nothing' in the dataset 'voters'" in done.err
    assert at("decide", "drukwerk-batch", "open", "voters", "--at", "2026-06-01").err == ""


# ---- ledger -------------------------------------------------------------------------------------------------------


def test_show_finds_by_name_and_by_id(at: Run, tmp_path: Path) -> None:
    (tmp_path / "estate.yaml").write_text(estate())
    ids = at("apply", "--plan", "--json", str(tmp_path / "estate.yaml")).json()["ids"]
    by_name = at("ledger", "show", "--supplier", "drukwerk", "--json").out
    assert by_name == at("ledger", "show", "--supplier", ids["supplier"]["drukwerk"], "--json").out
    entries = [json.loads(line) for line in by_name.splitlines()]
    assert {entry["supplier"] for entry in entries} == {ids["supplier"]["drukwerk"]}
    assert [entry["index"] for entry in entries] == sorted(entry["index"] for entry in entries)
    newest = at("ledger", "show", "--newest", "--limit", "2", "--json").out.splitlines()
    assert json.loads(newest[0])["index"] > json.loads(newest[1])["index"]
    assert "drukwerk" in at("ledger", "show", "--supplier", "drukwerk").out


def test_show_by_time_and_kind(at: Run) -> None:
    assert at("ledger", "show", "--until", "2020-01-01", "--json").out == ""
    assert at("ledger", "show", "--since", "2020-01-01", "--limit", "1", "--json").out != ""
    kinds = at("ledger", "show", "--kind", "suppliers", "--json").out.splitlines()
    assert kinds
    nothing = at("ledger", "show", "--kind", "nonsense", "--json")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "There are no such entries.\n")
    assert all(json.loads(line)["kind"].startswith("suppliers.") for line in kinds)


@pytest.mark.parametrize(
    "words",
    [
        ("--dataset", "nothing-such"),
        ("--principal", "nobody"),
        ("--object", "voters"),
        ("--object", "voters/nothing"),
        ("--since", "yesterday"),
        ("--outcome", "perhaps"),
        ("--limit", "-1"),
    ],
)
def test_what_cannot_be_asked(words: tuple[str, ...], at: Run) -> None:
    assert at("ledger", "show", *words).code == 2


def test_custody(at: Run, csv: Path) -> None:
    put = at("put", "voters", str(csv), "--as", "custody.csv", "--json").json()["objects"][0]
    found = at("ledger", "custody", "--object", "voters/custody.csv", "--json").json()["entries"]
    assert [entry["object"] for entry in found] == [put["object"]]
    assert put["object"] in at("ledger", "custody", "--dataset", "voters", "--csv").out
    assert at("ledger", "custody").code == 2
    assert at("ledger", "custody", "--dataset", "voters", "--csv", "--json").code == 2


def test_verify(at: Run) -> None:
    done = at("ledger", "verify", "--json")
    assert (done.code, done.json()["ok"], done.json()["faults"]) == (0, True, [])
    assert done.json()["checked"]["rows"] > 5
    assert "Everything holds." in at("ledger", "verify").out
    quick = at("ledger", "verify", "--quick").out
    assert "looked at" in quick
    other = Signer("keten/other", Ed25519PrivateKey.generate()).verifier_key()
    wrong = at("ledger", "verify", "--key", other, "--json")
    assert (wrong.code, wrong.json()["ok"]) == (1, False)
    assert at("ledger", "verify", "--key", "other+00000000+AAAA").code == 2


def test_verify_knows_the_rows_of_every_room() -> None:
    def tables(statement: str) -> str:
        script = f"{statement}\nfrom keten.ledger.bound import bound_tables\nprint(*sorted(bound_tables()))"
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    of_verify = tables("from keten.cli.operator import ledger\nledger.know_every_table()")
    assert of_verify == tables("import keten.keeper.main")
    assert "contracts" in of_verify


def test_a_proof_by_index_and_by_id(at: Run, running: Path, tmp_path: Path) -> None:
    verifier = Verifier.parse((running / "ledger" / "key.pub").read_text().strip())
    entry = json.loads(at("ledger", "show", "--limit", "1", "--json").out)
    by_id = at("ledger", "prove", entry["id"], "--json").json()
    assert by_id["index"] == entry["index"]
    file = tmp_path / "p.tlog-proof"
    assert at("ledger", "prove", str(entry["index"]), "-o", str(file)).code == 0
    proof = parse_proof(file.read_text())
    assert verify_proof(proof, verifier).size > 0
    assert entry["id"].encode() in (proof.extra or b"")
    assert parse_proof(at("ledger", "prove", "0").out).index == 0
    assert at("ledger", "prove", "nonsense").code == 2
    assert at("ledger", "prove", "0", "-o", str(tmp_path / "nowhere" / "p")).code == 2


def test_an_export_is_an_entry_first(at: Run, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    said = at("ledger", "export", str(target), "--json").json()
    lines = (target / "entries.jsonl").read_text().splitlines()
    assert len(lines) == said["size"]
    assert said["entry"] in lines[-1]
    assert at("ledger", "export", str(target)).code == 2  # not empty


def test_the_root_is_shown_as_a_checkpoint_has_it(at: Run, tmp_path: Path) -> None:
    target = tmp_path / "export"
    shown = at("ledger", "export", str(target)).out
    signed = (target / "checkpoint").read_text().splitlines()[2]
    assert f"root {signed}." in shown
    said = at("ledger", "verify", "--json").json()
    assert f"root {b64encode(bytes.fromhex(said['root'])).decode()}\n" in at("ledger", "verify").out


# ---- revoke -------------------------------------------------------------------------------------------------------


def test_revoke_tells_each_step_and_holds(at: Run) -> None:
    done = at("revoke", "grant", "voters-for-drukwerk", "--reason", "a test", "--json")
    assert done.code == 0, done.err
    assert [step["step"] for step in done.json()["steps"]] == ["register", "transfers", "gateways"]
    assert at("decide", "drukwerk-batch", "open", "voters", "--at", "2026-06-01").code == 1
    again = at("revoke", "grant", "voters-for-drukwerk", "--reason", "again", "--json")
    assert (again.code, again.json()["already"]) == (0, True)
    assert at("revoke", "client", "drukwerk-batch", "--reason", "").code == 2
    assert at("revoke", "client", "drukwerk-batch").code == 2


# ---- what outsiders kept, and erasing ----------------------------------------------------------------------------


def test_a_pipe_is_no_evidence_and_no_proof(at: Run, tmp_path: Path) -> None:
    """It would be waited for without end."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for words in (
        ("ledger", "evidence", str(fifo)),
        ("ledger", "verify", "--against", str(fifo)),
        ("ledger", "recover", str(fifo)),
    ):
        done = at(*words)
        assert (done.code, "not a regular file" in done.err) == (2, True), words


def test_a_plan_of_an_erasure_needs_no_reason(at: Run) -> None:
    planned = at("subject", "erase", "drukwerk-batch", "--plan")
    assert (planned.code, "gone for ever" in planned.out) == (0, True), planned.err
    refused = at("subject", "erase", "drukwerk-batch", "--yes")
    assert (refused.code, "--reason" in refused.err) == (2, True)
