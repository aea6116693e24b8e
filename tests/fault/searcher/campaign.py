"""The campaign: plant values of many people, clients and files, erase some, and look for them by every way.

`python -m tests.fault.searcher.campaign --seed 1 --subjects 40` prints a report: what was found before erasing (each
value, by each way that it was planted for), and what is recoverable afterwards. Exit code 1 when that is not nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

import msgspec

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.keeper import protocol as said
from keten.keeper.subject_protocol import Erase, Outcome
from tests.fault.searcher.ways import Found, Searcher
from tests.town import SETTINGS

ALONE = f"{SETTINGS}[erasure]\napprovers = 1\n"
ACCESSES = 3  # of each client


class Planted(msgspec.Struct):
    """A subject or file, and the values that only it has. `ways`: by which the control must find each of them."""

    kind: str
    name: str
    values: dict[str, bytes]
    ways: dict[str, str]


class Result(msgspec.Struct):
    """What the searcher found. `recoverable`, `missed` and `not_verified` must be empty.

    missed: values that it did not find before they were erased (it proves nothing then), or of those that stayed.
    """

    seed: int
    subjects: int
    erased: int
    values: int
    control: dict[str, int]
    recoverable: list[Found]
    missed: list[str]
    not_verified: str

    @property
    def held(self) -> bool:
        """Whether nothing of what was erased can be recovered, and the searcher would have found it."""
        return not (self.recoverable or self.missed or self.not_verified)


class Instance:
    """A running instance with people, clients and files of which every word is known."""

    def __init__(self, folder: Path, seed: int, subjects: int) -> None:
        self.random = random.Random(seed)
        self.keten = Throwaway(folder, settings=ALONE)
        self.keys = [Key(folder / f"key-{number}") for number in range(subjects)]
        self.people = [self._word("person") for _ in range(subjects)]
        self.clients = [self._word("client") for _ in range(subjects)]
        self.mails = [f"{self._word('mail')}@planted.example" for _ in range(subjects)]
        self.files = [f"file-{number}.txt" for number in range(subjects)]
        self.contents = [f"a line of {self._word('content')} in a file\n".encode() for _ in range(subjects)]
        self.folder = folder

    def _word(self, kind: str) -> str:
        return f"{kind}-{self.random.getrandbits(128):032x}"

    def start(self) -> None:
        """Run it, with its register and content, and let every client fetch something."""
        self.keten.up()
        self.keten.apply(self.estate())
        inbox = self.folder / "files"
        inbox.mkdir()
        for name, content in zip(self.files, self.contents, strict=True):
            (inbox / name).write_bytes(content)
        self.keten.run("put", "files", *(str(inbox / name) for name in self.files))
        for number in self.random.sample(range(len(self.clients)), len(self.clients)):
            self.access(number)

    def estate(self) -> str:
        """The register."""
        people = ", ".join(
            f"{{id: {name}, email: {mail}}}" for name, mail in zip(self.people, self.mails, strict=True)
        )
        clients = ", ".join(
            f'{{id: {name}, keys: ["{key.line}"]}}' for name, key in zip(self.clients, self.keys, strict=True)
        )
        return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people: [{{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}]
suppliers:
  - {{id: house, name: House BV, country: NL, tier: high, people: [{people}], clients: [{clients}]}}
contracts:
  - {{id: vwo-1, supplier: house, starts: 2026-01-01, ends: 2099-12-31, purposes: [cards], countries: [NL]}}
datasets:
  - {{id: files, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - {{id: files-for-house, dataset: files, contract: vwo-1, purpose: cards, form: file}}
"""

    def access(self, number: int) -> None:
        """A client signs in and fetches what it may."""
        client = self.keten.ids["client"][self.clients[number]]
        system = SupplierSystem(self.keten.ready["gateway"], self.keten.paths.ca, client, self.keys[number].private)
        if system.sign_in().status != 200:
            return  # it ended meanwhile
        for shared in system.shares()[0]["objects"][:ACCESSES]:
            system.get(f"/v1/objects/{shared['id']}")

    def planted(self) -> list[Planted]:
        """Everyone and everything, with the ways by which it must be found as long as it is there."""
        key_of = {number: key.line.split()[1].encode() for number, key in enumerate(self.keys)}
        made: list[Planted] = []
        for number, name in enumerate(self.people):
            values = {f"name {name}": name.encode(), f"mail {name}": self.mails[number].encode()}
            made.append(Planted("person", name, values, {f"name {name}": "utf-8", f"mail {name}": "sealed"}))
        for number, name in enumerate(self.clients):
            values = {f"name {name}": name.encode(), f"key {name}": key_of[number]}
            made.append(Planted("client", name, values, {f"name {name}": "utf-8", f"key {name}": "utf-8"}))
        for number, name in enumerate(self.files):
            content = self.contents[number].split()[3]
            made.append(Planted("object", name, {f"in {name}": content}, {f"in {name}": "content"}))
        return made

    def erase(self, one: Planted) -> None:
        """Erase a subject, or destroy a file; all of it done."""
        with self.keten.keeper() as client:
            if one.kind == "object":
                destroy = said.Destroy("files", "a campaign", kind="object", file=one.name)
                steps = client.call("revocation.destroy", destroy, said.Destroyed).steps
            else:
                steps = client.call("subjects.erase", Erase(one.name, "a campaign"), Outcome).steps
        assert steps, one
        assert all(step["outcome"] != "not-done" for step in steps), steps


def run(folder: Path, seed: int, subjects: int) -> Result:
    """Plant, look, erase two thirds in random order while others are served, look again, stop, and look again."""
    instance = Instance(folder, seed, subjects)
    with instance.keten:
        instance.start()
        planted = instance.planted()
        searcher = Searcher(instance.keten.home)
        noted = searcher.stored_keys()
        values = {name: value for one in planted for name, value in one.values.items()}
        before = searcher.search(values)
        missed = [
            f"{name} by {way}" for one in planted for name, way in one.ways.items() if not _found(before, name, way)
        ]
        gone = instance.random.sample(planted, max(3, len(planted) * 2 // 3))
        for kind in ("person", "client", "object"):
            gone += [] if any(one.kind == kind for one in gone) else [next(o for o in planted if o.kind == kind)]
        for one in gone:
            instance.erase(one)
            if instance.random.random() < 0.3:
                instance.access(instance.random.randrange(subjects))
        erased = {name: value for one in gone for name, value in one.values.items()}
        recoverable = searcher.search(erased, noted)
        stays = [one for one in planted if one not in gone]
        left = searcher.search({name: value for one in stays for name, value in one.values.items()})
        missed += [
            f"{name} by {way}, which stayed"
            for one in stays
            for name, way in one.ways.items()
            if not _found(left, name, way)
        ]
        verified = instance.keten.command("ledger", "verify")
        instance.keten.down()
        recoverable += [one for one in searcher.search(erased, noted) if one not in recoverable]
    control: dict[str, int] = {}
    for each in before:
        control[each.way] = control.get(each.way, 0) + 1
    not_verified = "" if verified.returncode == 0 else verified.stdout
    return Result(seed, subjects, len(gone), len(erased), control, recoverable, missed, not_verified)


def _found(found: list[Found], name: str, way: str) -> bool:
    return any((one.name, one.way) == (name, way) for one in found)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=40, help="people, and as many clients and files")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keten-searcher-") as folder:
        result = run(Path(folder), arguments.seed, arguments.subjects)
    print(json.dumps(msgspec.to_builtins(result), indent=2))
    return 0 if result.held else 1


if __name__ == "__main__":
    sys.exit(main())
