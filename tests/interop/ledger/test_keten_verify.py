"""keten-verify.py on exports that are as they should be; and how it is used."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer, checkpoint_text
from keten.ledger.prooffile import ProofFile
from keten.ledger.proofs import prove_inclusion
from keten.ledger.tiles import TileReader, encode_bundle
from tests.interop.ledger.exported import (
    ROOT,
    TOOL,
    change_entry,
    check,
    export,
    faults,
    flip,
    verify,
)
from tests.unit.ledger.published_log import Log

# --- what holds -------------------------------------------------------------------------------------------------


def test_a_whole_export_holds(pristine: Path, log: Log) -> None:
    code, report = verify(pristine, "--key", log.signer.verifier_key())
    assert (code, report["holds"], report["faults"], report["unreadable"]) == (0, True, [], [])
    assert report["origin"] == log.signer.name
    assert report["size"] == 600
    assert report["entries"] == {"present": 600, "erased": 0}
    assert report["first_time"] == "2026-01-31T23:59:59.000000Z"
    assert report["last_time"] == "2026-01-31T23:59:59.000199Z"
    assert report["remarks"] == []


def test_without_a_key_it_says_whose_word_it_took(pristine: Path) -> None:
    code, report = verify(pristine)
    assert code == 0
    assert ["came with the export" in remark for remark in report["remarks"]] == [True]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 513])
def test_sizes_around_the_edges_of_tiles(tool: ModuleType, signer: Signer, tmp_path: Path, size: int) -> None:
    log = Log(tmp_path / "ledger", signer)
    log.seal(size)
    report = check(tool, export(log, tmp_path / "export"))
    assert report.exit_code() == 0
    assert report.facts["size"] == size


@pytest.mark.slow
def test_a_large_export_is_checked_by_several_processes(tmp_path: Path, signer: Signer) -> None:
    log = Log(tmp_path / "ledger", signer)
    log.seal(70_000, erased=[5, 66_000])
    log.publish(70_000, 0)
    log.publisher.close()
    folder = export(log, tmp_path / "export", erased={5, 66_000})
    code, report = verify(folder, "--key", signer.verifier_key())
    assert code == 0
    assert report["entries"] == {"present": 69_998, "erased": 2}
    assert report["tiles"] == 274 * 2 + 2 + 1
    flip(folder / "tile/1/000", 4000)
    flip(folder / "tile/entries/200", 4000)
    (folder / "tile/0/100").unlink()
    change_entry(folder, 69_998, payload="{}")
    code, report = verify(folder)
    assert code == 1
    assert {where for _, where in faults(report)} == {"tile/1/000", "tile/entries/200", "entry 69998"} | {
        where for what, where in faults(report) if what in {"leaf-malformed", "commitment-wrong", "entry-other"}
    }
    assert [each["where"] for each in report["unreadable"]] == ["tile/0/100"]


def test_erased_entries_are_counted_and_mentioned(tmp_path: Path, signer: Signer) -> None:
    log = Log(tmp_path / "ledger", signer)
    log.seal(600, erased=[0, 5, 598])
    code, report = verify(export(log, tmp_path / "export", erased={0, 5, 598}), "--key", log.signer.verifier_key())
    assert (code, report["faults"]) == (0, [])
    assert report["entries"] == {"present": 597, "erased": 3}
    assert ["3 entries are erased" in remark for remark in report["remarks"]] == [True]


def test_what_is_gone_and_what_an_entry_says_is_gone_are_the_same(tmp_path: Path, signer: Signer) -> None:
    """A payload that was simply left out, one that is erased only in words, and the entry itself left out."""
    log = Log(tmp_path / "ledger", signer)
    log.seal(600, erased=[5, 300])
    code, report = verify(export(log, tmp_path / "one", erased={5, 7}))
    assert code == 1
    assert faults(report) == {("erased-unjustified", "entry 7"), ("erased-present", "entry 300")}
    assert faults(verify(export(log, tmp_path / "two", erased={5, 300, 599}))[1]) == {
        ("erased-unjustified", f"entry {index}") for index in (5, 300, 599)
    }


def test_older_partial_tiles_may_lie_beside(copy: Path, log: Log) -> None:
    older = copy / "tile/0/002.p/3"
    older.write_bytes((copy / "tile/0/002.p/88").read_bytes()[:96])
    bundle = copy / "tile/entries/000.p/2"
    bundle.parent.mkdir()
    bundle.write_bytes(encode_bundle(log.leaves[:2]))
    code, report = verify(copy, "--key", log.signer.verifier_key())
    assert (code, report["remarks"]) == (0, [])
    whole = older.read_bytes(), bundle.read_bytes()
    older.write_bytes(whole[0][:64])
    bundle.write_bytes(whole[1] + whole[1])
    assert faults(verify(copy)[1]) == {("tile-wrong", "tile/0/002.p/3"), ("tile-wrong", "tile/entries/000.p/2")}
    bundle.write_bytes(encode_bundle(log.leaves[:3]))
    assert ("tile-wrong", "tile/entries/000.p/2") in faults(verify(copy)[1])
    older.write_bytes(whole[0])
    bundle.write_bytes(whole[1])
    flip(older, 50)
    flip(bundle, 50)
    code, report = verify(copy)
    assert code == 1
    assert faults(report) == {("tile-wrong", "tile/0/002.p/3"), ("tile-wrong", "tile/entries/000.p/2")}


def test_what_is_not_of_the_checkpoint_is_mentioned(copy: Path, log: Log) -> None:
    for name in ("tile/0/003", "tile/0/002", "tile/0/000.p/0", "tile/7/000", "tile/0/0", "notes.txt"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"?")
    code, report = verify(copy, "--key", log.signer.verifier_key())
    assert code == 0
    assert ["6 files or folders are not of this checkpoint" in remark for remark in report["remarks"]] == [True]


def test_signatures_by_others_are_mentioned(copy: Path, log: Log) -> None:
    witness = Signer("witness.example", Ed25519PrivateKey.generate())
    note = log.notes[600]
    cosigned = note + witness.sign(note.rpartition("\n\n")[0] + "\n").rpartition("\n\n")[2]
    (copy / "checkpoint").write_text(cosigned)
    code, report = verify(copy, "--key", log.signer.verifier_key())
    assert code == 0
    assert ["witness.example" in remark for remark in report["remarks"]] == [True]


# --- earlier checkpoints and proofs -----------------------------------------------------------------------------


def saved(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content)
    return path


@pytest.mark.parametrize("size", [1, 100, 256, 300, 512, 600])
def test_an_earlier_checkpoint_holds(pristine: Path, log: Log, tmp_path: Path, size: int) -> None:
    path = saved(tmp_path, "old", log.notes[size])
    code, report = verify(pristine, "--checkpoint", path)
    assert (code, report["checkpoints"]) == (0, [{"file": str(path), "size": size, "holds": True}])


def test_a_rewritten_log_does_not_extend_the_checkpoint_that_one_kept(
    pristine: Path, log: Log, tmp_path: Path, signer: Signer
) -> None:
    """The administrator rewrites entry 50, and signs everything anew with the real key."""
    kept = saved(tmp_path, "kept", log.notes[300])
    rewritten = Log(tmp_path / "ledger", signer)
    rewritten.seal(600, erased=[50])
    rewritten.leaves[50] = rewritten.leaves[51].replace(log.ids[51].encode(), log.ids[50].encode())
    rewritten.seal_anew()
    rewritten.salts[50], rewritten.payloads[50] = rewritten.salts[51], rewritten.payloads[51]
    folder = export(rewritten, tmp_path / "export", erased={50})
    assert verify(folder)[0] == 0  # by itself it is flawless …
    code, report = verify(folder, "--checkpoint", kept)  # … but not for who kept a checkpoint
    assert code == 1
    assert faults(report) == {("checkpoint-split", str(kept))}
    assert verify(pristine, "--checkpoint", kept)[0] == 0


def test_a_log_that_was_cut_off_is_older_than_the_checkpoint_that_one_kept(log: Log, tmp_path: Path) -> None:
    folder = export(log, tmp_path / "export", size=512)
    assert verify(folder)[0] == 0
    kept = saved(tmp_path, "kept", log.notes[600])
    code, report = verify(folder, "--checkpoint", kept)
    assert code == 1
    assert faults(report) == {("checkpoint-newer", str(kept))}


def test_other_checkpoints_do_not_count(pristine: Path, log: Log, tmp_path: Path) -> None:
    stranger = Signer(log.signer.name, Ed25519PrivateKey.generate())
    other = saved(tmp_path, "other", stranger.sign(checkpoint_text(log.signer.name, 5, b"r" * 32)))
    broken = saved(tmp_path, "broken", "no checkpoint")
    code, report = verify(pristine, "--checkpoint", other, broken)
    assert code == 1
    assert faults(report) == {("not-signed", str(other)), ("note-malformed", str(broken))}
    code, report = verify(pristine, "--checkpoint", tmp_path / "missing")
    assert (code, report["checkpoints"]) == (4, [{"file": str(tmp_path / "missing"), "holds": False}])


def proof_text(log: Log, index: int, size: int, extra: bytes | None = None) -> str:
    reader = TileReader(log.root, len(log.leaves), log.roots[len(log.leaves)])
    return ProofFile(index, prove_inclusion(reader, index, size).path, log.notes[size], extra).encode()


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 600), (299, 300), (511, 512), (599, 600), (5, 256)])
@pytest.mark.parametrize("carried", [True, False])
def test_a_proof_holds(pristine: Path, log: Log, tmp_path: Path, index: int, size: int, carried: bool) -> None:
    path = saved(tmp_path, "a.tlog-proof", proof_text(log, index, size, log.leaves[index] if carried else None))
    code, report = verify(pristine, "--proof", path)
    assert (code, report["proofs"]) == (
        0,
        [{"file": str(path), "index": index, "size": size, "holds": True}],
    )


def test_proofs_that_do_not_hold(pristine: Path, log: Log, tmp_path: Path) -> None:
    good = proof_text(log, 7, 600, log.leaves[7])
    path_line = good.split("\n")[4]
    wrong = {
        "other-place": good.replace("index 7", "index 8"),
        "other-leaf": proof_text(log, 7, 600, log.leaves[8]),
        "other-path": good.replace(path_line, good.split("\n")[5], 1),
        "no-proof": "c2sp.org/tlog-proof@v1\n",
        "no-index": good.replace("index 7\n", ""),
        "outside": good.replace("index 7", "index 600"),
        "unsigned": good[: good.index("\u2014")],
    }
    paths = [saved(tmp_path, name, text) for name, text in wrong.items()]
    code, report = verify(pristine, "--proof", *paths)
    assert code == 1
    assert {where for _, where in faults(report)} == {str(path) for path in paths}
    assert [check["holds"] for check in report["proofs"]] == [False] * len(paths)


def test_a_proof_that_is_newer_than_the_export(log: Log, tmp_path: Path) -> None:
    folder = export(log, tmp_path / "export", size=512)
    paths = [
        saved(tmp_path, "inside", proof_text(log, 7, 600)),
        saved(tmp_path, "beyond", proof_text(log, 550, 600, log.leaves[550])),
        saved(tmp_path, "bare", proof_text(log, 550, 600)),
    ]
    code, report = verify(folder, "--proof", *paths[:2])
    assert (code, len(report["remarks"])) == (0, 3)
    code, report = verify(folder, "--proof", *paths)
    assert (code, faults(report)) == (1, {("proof-no-leaf", str(paths[2]))})


def test_a_proof_of_another_history_is_found(pristine: Path, tmp_path: Path, signer: Signer) -> None:
    """A supplier's proof from a log that showed it something else (a split view)."""
    other = Log(tmp_path / "ledger", signer)
    other.seal(250)
    other.leaves[3] = b"a different entry"
    other.seal_anew()
    other.publish(250, 0)
    path = saved(tmp_path, "split", proof_text(other, 3, 250, b"a different entry"))
    code, report = verify(pristine, "--proof", path)
    assert (code, faults(report)) == (1, {("proof-wrong", str(path))})
    path = saved(tmp_path, "split-2", proof_text(other, 4, 250, other.leaves[4]))
    code, report = verify(pristine, "--proof", path)
    assert (code, faults(report)) == (1, {("checkpoint-split", str(path))})


# --- what cannot be read, and wrong use -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "key.pub",
        "entries.jsonl",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/002.p/88",
    ],
)
def test_a_missing_file_is_named_and_the_code_is_4(copy: Path, name: str) -> None:
    (copy / name).unlink()
    code, report = verify(copy)
    assert (code, report["faults"]) == (4, [])
    assert [each["where"] for each in report["unreadable"]] == [name]


def test_with_a_key_the_exports_own_is_still_missed(copy: Path, log: Log) -> None:
    (copy / "key.pub").unlink()
    code, report = verify(copy, "--key", log.signer.verifier_key())
    assert (code, report["size"]) == (4, 600)


@pytest.mark.parametrize("name", ["tile/0/001", "tile/entries/001", "checkpoint"])
def test_what_stands_in_for_a_file_is_not_read(copy: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir, lambda path: Path(path).symlink_to("/dev/zero")):
        path = copy / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        code, report = verify(copy)
        assert code == 4
        assert name in {each["where"] for each in report["unreadable"]}


def test_a_missing_folder(tmp_path: Path) -> None:
    assert verify(tmp_path / "nowhere")[0] == 4


@pytest.mark.parametrize(
    "arguments", [[], ["a", "b"], [".", "--key", "nonsense"], [".", "--unknown"], [".", "--proof"]]
)
def test_wrong_use_is_2(arguments: list[str]) -> None:
    assert verify(*arguments)[0] == 2


def test_for_people(copy: Path, log: Log) -> None:
    command = [sys.executable, "-I", "-S", str(TOOL), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 0
    assert done.stdout.endswith("It holds.\n")
    assert done.stderr == ""
    change_entry(copy, 3, id="\x1b[2J\u202e")
    (copy / "tile/\x1b[31mred").write_bytes(b"")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    assert done.returncode == 1
    assert "entry-other  entry 3" in done.stdout
    assert done.stdout.endswith("It does NOT hold.\n")
    assert "\x1b" not in done.stdout
    assert log.signer.name in done.stdout


def test_every_fault_is_described() -> None:
    source = TOOL.read_text(encoding="utf-8")
    codes = set(re.findall(r'(?:[Ff]ault\(|append\(\(|return \(?)\s*"([a-z]+(?:-[a-z]+)+)"', source))
    described = (ROOT / "docs/formats/ledger.md").read_text(encoding="utf-8")
    assert len(codes) > 25
    assert {code for code in codes if f"`{code}`" not in described} == set()


def test_the_tool_is_one_file_of_the_standard_library_and_python_3_8(tool: ModuleType) -> None:
    tree = ast.parse(TOOL.read_text(), feature_version=(3, 8))
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= set(sys.stdlib_module_names)
    assert os.access(TOOL, os.X_OK)
    assert tool.__doc__


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13", "3.14"])
def test_other_pythons(pristine: Path, version: str) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-V"], capture_output=True, check=False).returncode:
        pytest.skip(f"not installed: Python {version}")
    assert verify(pristine, python=python)[0] == 0
