"""The campaign: plant values of many people, clients and files, erase some, and look for them by every way.

The searcher also has backups and their recipient's key: one that was within reach, one in the clear, one that lay in
a drawer meanwhile and came back. One more was said to be gone, and there is an auditor's export: what it finds by
having a place that the command named as not erased is counted as such; anything else is recoverable: that must be none.

`python -m tests.fault.searcher.campaign --seed 1 --subjects 40` prints a report: what was found before erasing (each
value, by each way that it was planted for), and what is recoverable afterwards. Exit code 1 when that is not nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import msgspec
import pyrage

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.keeper import people_protocol as people
from keten.keeper import protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.subject_protocol import Erase, Outcome
from tests.authenticator import Authenticator, encode
from tests.fault.searcher.ways import Found, Searcher
from tests.town import SETTINGS

ALONE = f"{SETTINGS}[erasure]\napprovers = 1\n"
PORTAL = "http://localhost:8443"
ACCESSES = 3  # of each client


class Planted(msgspec.Struct):
    """A subject or file, and the values that only it has. `ways`: by which the control must find each of them."""

    kind: str
    name: str
    values: dict[str, bytes]
    ways: dict[str, str]


NEAR, PLAIN, DRAWER, LOST, EXPORT = "near", "plain", "drawer", "lost", "export"
PLACES = (NEAR, PLAIN, DRAWER, LOST, EXPORT)


class Result(msgspec.Struct):
    """What the searcher found. `recoverable`, `missed` and `not_verified` must be empty.

    missed: values that it did not find before they were erased (it proves nothing then), or of those that stayed.
    named: how many it finds once it also has a place of which the command said that it does not reach it, by place.
    restored: in an instance that was restored from a backup of before. verified: how often 'keten ledger verify' said
    yes: before, after, and in the restored instance.
    """

    seed: int
    subjects: int
    erased: int
    values: int
    control: dict[str, int]
    recoverable: list[Found]
    missed: list[str]
    not_verified: str
    named: dict[str, int] = {}
    restored: list[Found] = []
    verified: int = 0

    @property
    def held(self) -> bool:
        """Whether nothing of what was erased can be recovered, and the searcher would have found it."""
        return not (self.recoverable or self.missed or self.not_verified or self.restored)


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
        self.identity = pyrage.x25519.Identity.generate()
        (folder / "identity.txt").write_text(f"{self.identity}\n", encoding="utf-8")
        self.passkeys = [Authenticator(PORTAL) for _ in self.people]
        self.links: list[str] = []
        self.told: set[str] = set()
        self.backups: dict[str, str] = {}

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
        self.enrol()

    def enrol(self) -> None:
        """Every person uses a link and has a passkey."""
        with self.keten.keeper() as operator, KeeperClient(self.keten.paths.gateway_socket) as gateway:
            gateway.call("keeper.hello", said.Hello("portal", "1"), said.Welcome)
            gateway.call("people.origin", people.Origin(PORTAL), people.Done)
            for number, (name, passkey) in enumerate(zip(self.people, self.passkeys, strict=True)):
                token = operator.call("people.invite", people.Invite(name), people.Invited).token
                self.links.append(sha256(token.encode()).hexdigest())
                address, browser = f"192.0.2.{number}", "a" * 64
                begin = people.EnrolBegin(token, address, browser)
                begun = gateway.call("people.enrol_begin", begin, people.Enrolment).ceremony
                finished = people.Finished(begun.id, passkey.create(begun.options), address, browser)
                gateway.call("people.enrol", finished, people.SessionOpened)

    def estate(self) -> str:
        """The register."""
        members = ", ".join(
            f"{{id: {name}, email: {mail}}}" for name, mail in zip(self.people, self.mails, strict=True)
        )
        clients = ", ".join(
            f'{{id: {name}, keys: ["{key.line}"]}}' for name, key in zip(self.clients, self.keys, strict=True)
        )
        return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people: [{{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}]
suppliers:
  - {{id: house, name: House BV, country: NL, tier: high, people: [{members}], clients: [{clients}]}}
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
            values = {
                f"name {name}": name.encode(),
                f"mail {name}": self.mails[number].encode(),
                f"passkey {name}": encode(self.passkeys[number].credential).encode(),
                f"link {name}": self.links[number].encode(),
            }
            ways = dict.fromkeys(values, "utf-8") | {f"mail {name}": "sealed"}
            made.append(Planted("person", name, values, ways))
        for number, name in enumerate(self.clients):
            values = {f"name {name}": name.encode(), f"key {name}": key_of[number]}
            made.append(Planted("client", name, values, {f"name {name}": "utf-8", f"key {name}": "utf-8"}))
        for number, name in enumerate(self.files):
            content = self.contents[number].split()[3]
            made.append(Planted("object", name, {f"in {name}": content}, {f"in {name}": "content"}))
        return made

    def copy(self) -> None:
        """Take backups of everything, and an export; one backup goes into a drawer, one is said to be gone."""
        for name in (NEAR, DRAWER, LOST):
            to = ("--to", str(self.identity.to_public()))
            self.backups[name] = self.keten.run("backup", str(self.folder / name), *to)["id"]
        self.keten.run("backup", str(self.folder / PLAIN), "--plain")
        self.keten.run("ledger", "export", str(self.folder / EXPORT))

    def put_away(self) -> None:
        """Where nobody here reaches them."""
        for name in (DRAWER, LOST):
            (self.folder / name).rename(self.folder / f"{name}-away")
        self.keten.run("backup", "--forget", self.backups[LOST])

    def bring_back(self) -> None:
        """The disk from the drawer is connected again."""
        (self.folder / f"{DRAWER}-away").rename(self.folder / DRAWER)

    def searcher(self, without: Collection[str] = ()) -> Searcher:
        """With everything in its hands, wherever that is now, but for these places."""
        there = [self.folder / name for each in PLACES if each not in without for name in (each, f"{each}-away")]
        return Searcher(self.keten.home, [path for path in there if path.exists()], [self.identity])

    def named(self) -> set[str]:
        """The places of which the command said that it does not reach them."""
        words = {place: f"{self.folder / place}/" for place in PLACES} | {EXPORT: f"the export {EXPORT!r} of "}
        return {place for place, word in words.items() if any(word in told for told in self.told)}

    def erase(self, one: Planted) -> None:
        """Erase a subject, or destroy a file: all of it, but for backups that are out of reach, which are named."""
        with self.keten.keeper() as client:
            if one.kind == "object":
                destroy = said.Destroy("files", "a campaign", kind="object", file=one.name)
                steps = client.call("revocation.destroy", destroy, said.Destroyed).steps
            else:
                outcome = client.call("subjects.erase", Erase(one.name, "a campaign"), Outcome)
                steps = outcome.steps
                self.told.update(outcome.plan.unreached)
        assert steps, one
        assert all(step["outcome"] != "not-done" or step["step"] == "backups" for step in steps), steps
        self.told.update(step["detail"] for step in steps if step["outcome"] == "not-done")

    def verify(self) -> str:
        """What 'keten ledger verify' says, when that is not yes."""
        done = self.keten.command("ledger", "verify")
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def restored(self) -> tuple[Path, str]:
        """An instance restored from the backup that was within reach; and what does not hold there."""
        home = self.folder / "restored"
        (folder,) = (path.parent for path in (self.folder / NEAR).glob("*/backup.json"))
        line = [sys.executable, "-m", "keten", "restore", str(folder), "--home", str(home)]
        done = subprocess.run(
            [*line, "--identity", str(self.folder / "identity.txt")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return home, done.stderr
        line = [sys.executable, "-m", "keten", "ledger", "verify", "--home", str(home)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        return home, "" if done.returncode == 0 else done.stdout + done.stderr


def run(folder: Path, seed: int, subjects: int) -> Result:
    """Plant and look; copy; erase two thirds in random order while others are served; look again.

    1. Everything is found before, in the instance and in each copy.
    2. Afterwards nothing is found but by who also has a place that the command named. (With an old keys part, rows of
       every backup open: so that place is no better or worse than all of them together.)
    3. The backup in the drawer comes back, the instance stops: nothing is found in either of them any more.
    4. Nor in an instance that is restored from a backup of before.
    """
    instance = Instance(folder, seed, subjects)
    not_verified: list[str] = []
    with instance.keten:
        instance.start()
        planted = instance.planted()
        instance.copy()
        searcher = instance.searcher()  # 1
        noted = searcher.stored_keys()
        values = {name: value for one in planted for name, value in one.values.items()}
        before = searcher.search(values)
        missed = [
            f"{name} by {way}" for one in planted for name, way in one.ways.items() if not _found(before, name, way)
        ]
        missed += [f"{name} in {place}" for place in PLACES for name in values if not _is_in(before, name, place)]
        not_verified.append(instance.verify())
        instance.put_away()
        gone = instance.random.sample(planted, max(3, len(planted) * 2 // 3))
        for kind in ("person", "client", "object"):
            gone += [] if any(one.kind == kind for one in gone) else [next(o for o in planted if o.kind == kind)]
        for one in gone:
            instance.erase(one)
            if instance.random.random() < 0.3:
                instance.access(instance.random.randrange(subjects))
        erased = {name: value for one in gone for name, value in one.values.items()}
        beyond = instance.named()  # 2
        recoverable = instance.searcher(beyond).search(erased, noted)
        named = {place: len(instance.searcher(beyond - {place}).search(erased, noted)) for place in sorted(beyond)}
        stays = [one for one in planted if one not in gone]
        left = searcher.search({name: value for one in stays for name, value in one.values.items()})
        missed += [
            f"{name} by {way}, which stayed"
            for one in stays
            for name, way in one.ways.items()
            if not _found(left, name, way)
        ]
        not_verified.append(instance.verify())
        instance.bring_back()  # 3
        instance.keten.down()
        recoverable += instance.searcher(beyond - {DRAWER}).search(erased, noted)
        home, wrong = instance.restored()  # 4
        not_verified.append(wrong)
        restored = Searcher(home).search(erased, noted)
    control: dict[str, int] = {}
    for each in before:
        control[each.way] = control.get(each.way, 0) + 1
    said_no = "".join(not_verified)
    verified = not_verified.count("")
    return Result(
        seed, subjects, len(gone), len(erased), control, recoverable, missed, said_no, named, restored, verified
    )


def _is_in(found: list[Found], name: str, place: str) -> bool:
    """Whether a value was found in a copy. Of a file, an export has no content."""
    if place == EXPORT and name.startswith("in "):
        return True
    return any(one.name == name and one.where.startswith(f"{place}/") for one in found)


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
