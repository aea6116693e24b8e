"""keten-verify.py on exports with which somebody meddled: everything is noticed, and named."""

from __future__ import annotations

import hmac
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keten.ledger.notes import Signer, checkpoint_text
from tests.interop.ledger.exported import change_entry, check, export, faults, flip, lines_of, verify, write_lines
from tests.unit.ledger.published_log import Log

# --- meddling ---------------------------------------------------------------------------------------------------


def test_every_flipped_byte_of_checkpoint_and_key_is_noticed(tool: ModuleType, copy: Path, log: Log) -> None:
    for name in ("checkpoint", "key.pub"):
        content = (copy / name).read_bytes()
        for at in range(len(content)):
            (copy / name).write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
            if name == "key.pub" and at == len(content) - 1:
                continue  # the newline at the end is no part of the key
            report = check(tool, copy, log.signer.verifier_key())
            assert report.exit_code() == 1, (name, at)
        (copy / name).write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/88"],
)
def test_a_flipped_byte_in_the_tree_is_noticed_and_its_file_named(tool: ModuleType, copy: Path, name: str) -> None:
    length = (copy / name).stat().st_size
    chance = random.Random(name)
    for at in {0, 1, 2, 31, 32, 33, length - 1, *(chance.randrange(length) for _ in range(25))} & set(range(length)):
        flip(copy / name, at, bit := chance.randrange(8))
        report = check(tool, copy)
        assert report.exit_code() == 1
        assert {fault["where"].partition(" ")[0] for fault in report.faults} <= {name, "entry"}
        assert name in str(report.faults), (at, bit, report.faults)
        flip(copy / name, at, bit)
    assert check(tool, copy).exit_code() == 0


def test_a_flipped_byte_in_the_entries_is_noticed_and_the_entry_named(tool: ModuleType, copy: Path) -> None:
    path = copy / "entries.jsonl"
    lines = lines_of(copy)
    chance = random.Random(1)
    for index in (0, 255, 256, 300, 599):
        start = sum(len(line.encode()) for line in lines[:index])
        for at in sorted(chance.sample(range(len(lines[index].encode()) - 1), 15)):
            flip(path, start + at, bit := chance.randrange(7))
            report = check(tool, copy)
            assert report.exit_code() == 1, (index, at, bit)
            assert f"entry {index}" in str(report.faults) or "no line for" in str(report.faults)
            flip(path, start + at, bit)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"payload": '{"time":"2026-01-31T23:59:59.000000Z"}'}, "commitment-wrong"),
        ({"salt": "A" * 43 + "="}, "commitment-wrong"),
        ({"salt": "A" * 43}, "entry-malformed"),
        ({"salt": None}, "entry-malformed"),
        ({"payload": None}, "entry-malformed"),
        ({"payload": {}}, "entry-malformed"),
        ({"state": "erased"}, "entry-malformed"),
        ({"state": "present", "payload": None, "salt": None}, "entry-malformed"),
        ({"state": "gone"}, "entry-malformed"),
        ({"state": ["erased"]}, "entry-malformed"),
        ({"id": "a" * 26}, "entry-other"),
        ({"id": None}, "entry-other"),
        ({"payload": "\ud800"}, "payload-malformed"),
    ],
)
def test_a_changed_entry_is_named(copy: Path, changes: dict[str, object], what: str) -> None:
    change_entry(copy, 300, **changes)
    code, report = verify(copy)
    assert (code, faults(report)) == (1, {(what, "entry 300")})


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "entry-malformed"),
        ("null", "entry-malformed"),
        ("[]", "entry-malformed"),
        ("{}", "entry-malformed"),
        ('"' + "x" * 100_000 + '"', "entry-malformed"),
        ("[" * 100_000, "entry-malformed"),
        ('{"index":' + "9" * 100_000 + "}", "entry-malformed"),
        ('{"index":300,"id":' + "9" * 5_000_000 + "}", "entry-malformed"),
        ('{"index":300,"index":300,"id":"x","payload":null,"salt":null,"state":"erased"}', "entry-malformed"),
        ('{"index":true,"id":"x","payload":null,"salt":null,"state":"erased"}', "entry-malformed"),
        ('{"index":300,"id":NaN}', "entry-malformed"),
        ("\x00\x01\x7f", "entry-malformed"),
    ],
)
def test_a_line_that_is_no_entry_is_named(copy: Path, line: str, what: str) -> None:
    lines = lines_of(copy)
    write_lines(copy, [*lines[:300], f"{line}\n", *lines[301:]])
    code, report = verify(copy)
    assert (code, faults(report)) == (1, {(what, "entry 300")})


def recommitted(tmp_path: Path, signer: Signer, payloads: dict[int, str]) -> Path:
    """A log whose keeper itself recorded these payloads."""
    other = Log(tmp_path / "ledger", signer)
    other.seal(300)
    for index, payload in payloads.items():
        mac = hmac.digest(other.salts[index], other.ids[index].encode() + b"\0" + payload.encode(), "sha256").hex()
        other.payloads[index] = payload
        other.leaves[index] = f'{{"id":"{other.ids[index]}","v":1,"commitment":"{mac}"}}'.encode()
    other.seal_anew()
    return export(other, tmp_path / "export")


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        ('{"time":"2026-01-31T23:59:58.999999Z"}', "time-falls"),
        ('{"time":"2026-01-31T23:59:59Z"}', "payload-malformed"),
        ('{"time":"2026-01-31T23:59:59.000100+00:00"}', "payload-malformed"),
        ('{"time":1}', "payload-malformed"),
        ("{}", "payload-malformed"),
        ("[]", "payload-malformed"),
        ("", "payload-malformed"),
        ("not json", "payload-malformed"),
        ('{"time":"2026-01-31T23:59:59.000100Z"} {}', "payload-malformed"),
        ('{"time":"2026-01-31T23:59:59.000100Z","time":"2026-01-31T23:59:59.000100Z"}', "payload-malformed"),
        ('{"time":"2026-01-31T23:59:59.000100Z","a":{"b":1,"b":2}}', "payload-malformed"),
        ('{"time":"2026-01-31T23:59:59.000100Z","a":' + "[" * 100_000, "payload-malformed"),
    ],
)
def test_what_the_keeper_itself_recorded_wrongly(tmp_path: Path, signer: Signer, payload: str, what: str) -> None:
    code, report = verify(recommitted(tmp_path, signer, {290: payload}))
    assert (code, faults(report)) == (1, {(what, "entry 290")})


def test_time_that_falls_between_two_bundles(tmp_path: Path, signer: Signer) -> None:
    late = '{"time":"2026-02-01T23:59:59.000000Z"}'
    code, report = verify(recommitted(tmp_path, signer, {255: late}))
    assert (code, faults(report)) == (1, {("time-falls", "bundle 1")})


def test_an_id_that_comes_twice(tmp_path: Path, signer: Signer) -> None:
    other = Log(tmp_path / "ledger", signer)
    other.seal(3)
    other.leaves[2] = other.leaves[0]
    other.seal_anew()
    other.ids[2], other.payloads[2], other.salts[2] = other.ids[0], other.payloads[0], other.salts[0]
    code, report = verify(export(other, tmp_path / "export"))
    assert (code, faults(report)) == (1, {("id-twice", f"id {other.ids[0]}")})


@pytest.mark.parametrize(
    ("meddle", "expected"),
    [
        (lambda lines: lines[:300] + lines[301:], {("entry-missing", "entries.jsonl")}),
        (lambda lines: lines[:599], {("entry-missing", "entries.jsonl")}),
        (lambda lines: lines[:10], {("entry-missing", "entries.jsonl")}),
        (lambda lines: lines[:0], {("entry-missing", "entries.jsonl")}),
        (lambda lines: [*lines[:6], lines[5], *lines[6:]], {("entry-order", "entry 5")}),
        (
            lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
            {("entry-order", "entry 5"), ("entry-missing", "entries.jsonl")},
        ),
        (
            lambda lines: [*lines, json.dumps({**json.loads(lines[0]), "index": 600}) + "\n"],
            {("entry-surplus", "entries.jsonl")},
        ),
        (lambda lines: [*lines, "\n"], {("entry-surplus", "entries.jsonl")}),
        (
            lambda lines: [*lines[:9], "x" * (1 << 24) + "\n", *lines[10:]],
            {("line-too-long", "entries.jsonl"), ("entry-missing", "entries.jsonl")},
        ),
    ],
)
def test_lines_deleted_repeated_moved_added(
    copy: Path, meddle: Callable[[list[str]], list[str]], expected: set[tuple[str, str]]
) -> None:
    write_lines(copy, meddle(lines_of(copy)))
    code, report = verify(copy)
    assert (code, faults(report)) == (1, expected)


def test_members_of_a_line_may_come_in_any_order_but_must_be_of_their_entry(copy: Path) -> None:
    lines = lines_of(copy)
    entry = json.loads(lines[300])
    lines[300] = json.dumps({"id": entry.pop("id"), **entry}) + "\n"
    write_lines(copy, lines)
    assert verify(copy)[0] == 0
    lines[300] = lines[300].replace('"index": 300', '"index": 7')
    write_lines(copy, lines)
    code, report = verify(copy)
    assert (code, faults(report)) == (1, {("entry-other", "entry 300")})


def test_missing_entries_are_named_as_ranges(copy: Path) -> None:
    lines = lines_of(copy)
    write_lines(copy, [*lines[:10], *lines[300:400], *lines[402:]])
    _, report = verify(copy)
    assert [fault["detail"] for fault in report["faults"]] == [
        "no line for the entries 10 to 299",
        "no line for the entries 400 to 401",
    ]


def test_words_that_nothing_proves_are_mentioned(copy: Path) -> None:
    change_entry(copy, 3, comment="trust me")
    code, report = verify(copy)
    assert code == 0
    assert any("comment" in remark for remark in report["remarks"])


@pytest.mark.parametrize("swapped", [("tile/0/000", "tile/0/001"), ("tile/entries/000", "tile/entries/001")])
def test_swapped_files_are_named(copy: Path, swapped: tuple[str, str]) -> None:
    first, second = (copy / name for name in swapped)
    first.rename(copy / "x")
    second.rename(first)
    (copy / "x").rename(second)
    code, report = verify(copy)
    assert code == 1
    assert set(swapped) <= {where for _, where in faults(report)}


@pytest.mark.parametrize("name", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"])
@pytest.mark.parametrize("cut", [0, 1, 31, 33, -1])
def test_a_truncated_file_is_named(copy: Path, name: str, cut: int) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:cut])
    code, report = verify(copy)
    assert code == 1
    assert name in {where for _, where in faults(report)}


@pytest.mark.parametrize("name", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/002.p/88"])
def test_a_lengthened_file_is_named(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as stream:
        stream.write(b"\0" * 40)
    code, report = verify(copy)
    assert code == 1
    assert name in {where for _, where in faults(report)}


def test_a_bundle_and_its_tile_changed_together_do_not_give_the_root(copy: Path, tool: ModuleType) -> None:
    flip(copy / "tile/entries/001", 100)
    leaves = tool.split_bundle((copy / "tile/entries/001").read_bytes())
    (copy / "tile/0/001").write_bytes(b"".join(map(tool.leaf_hash, leaves)))
    _, report = verify(copy)
    assert ("root-wrong", "checkpoint") in faults(report)
    assert ("tile-wrong", "tile/1/000.p/2") in faults(report)


def test_another_key_is_noticed(copy: Path, log: Log) -> None:
    """Everything signed anew with the meddler's own key, put into the export: the auditor's --key shows it."""
    meddler = Signer(log.signer.name, Ed25519PrivateKey.generate())
    (copy / "checkpoint").write_text(meddler.sign(checkpoint_text(meddler.name, 600, log.roots[600])))
    (copy / "key.pub").write_text(meddler.verifier_key() + "\n")
    assert verify(copy)[0] == 0
    code, report = verify(copy, "--key", log.signer.verifier_key())
    assert code == 1
    assert faults(report) == {("key-other", "key.pub"), ("not-signed", "checkpoint")}


def test_a_checkpoint_of_another_log_by_the_same_key(copy: Path, log: Log) -> None:
    (copy / "checkpoint").write_text(log.signer.sign(checkpoint_text("other.example", 600, log.roots[600])))
    code, report = verify(copy)
    assert (code, faults(report)) == (1, {("other-log", "checkpoint")})


def test_a_signed_size_that_nobody_can_have_ends_soon(copy: Path, log: Log) -> None:
    (copy / "checkpoint").write_text(log.signer.sign(checkpoint_text(log.signer.name, 2**62, log.roots[600])))
    code, report = verify(copy)
    assert code in {1, 4}
    assert any("stopped after" in remark for remark in report["remarks"])
