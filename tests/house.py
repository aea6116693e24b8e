"""The printing house of `town.py` with people of its own, and a portal for them to sign in at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keten.drills.throwaway import Key, Throwaway
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.protocol import Nothing, Status
from tests.cluster import database_url
from tests.town import UNWATCHED, estate
from tests.visitor import Visitor

NAME = 'kiezers "2026" שלום;=.html'
SCRIPT = b"<!doctype html><script>document.title='run'</script>" + b"x" * 3_000_000
PEOPLE = (
    "people: [{id: drukwerk-ops, email: ops@drukwerk.example}]",
    """people:
      - {id: drukwerk-ops, email: ops@drukwerk.example, roles: [contact]}
      - {id: drukwerk-two, email: two@drukwerk.example}
      - {id: drukwerk-three, email: three@drukwerk.example}
      - {id: drukwerk-four, email: four@drukwerk.example, roles: [contact]}""",
)
_CLIENTS = "    clients: [{id: zorgvervoer-batch"
OTHERS = (_CLIENTS, f"    people: [{{id: planner, email: p@zorg.example}}]\n{_CLIENTS}")
_SMALL = "contract: vwo-1, purpose: election-cards, form: file"
SMALL = (
    "  - {id: letters, owner: dpo, classification: internal, retention_days: 90}",
    f"  - {{id: small-for-drukwerk, dataset: letters, {_SMALL}, label: letters, budget: {{records: 100, per: day}}}}",
)


class House:
    """The printing house's people, at a running instance."""

    def __init__(self, folder: Path) -> None:
        self.keten = Throwaway(folder, settings=UNWATCHED, database=database_url())
        self._keys = Key(folder / "printer"), Key(folder / "carrier")
        self.page = folder / NAME
        self.page.write_bytes(SCRIPT)
        self.letters = folder / "letters.csv"
        self.letters.write_text("id\n" + "".join(f"{n}\n" for n in range(60)))

    def start(self) -> None:
        """Run, apply, put."""
        self.keten.up("--portal", "127.0.0.1:0")
        self.apply()
        self.keten.run("put", "voters", str(self.page))
        self.keten.run("put", "letters", str(self.letters))

    def apply(self) -> None:
        """The estate, with people of both suppliers."""
        text = estate(self._keys[0].line, self._keys[1].line, extra=SMALL[1])
        for before, after in (PEOPLE, OTHERS, ("grants:\n", f"{SMALL[0]}\ngrants:\n")):
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        self.keten.apply(text)

    def link(self, person: str) -> str:
        """A one-time link, as an operator makes it."""
        with KeeperClient(self.keten.paths.operator_socket) as client:
            token = client.call("people.invite", said.Invite(person), said.Invited).token
        return f"{self.portal}/enrol#{token}"

    @property
    def portal(self) -> str:
        """Where it is."""
        return str(self.keten.ready["portal"])

    def person(self, name: str) -> Visitor:
        """A person, signed in with a first passkey."""
        visitor = Visitor(self.portal)
        assert visitor.enrol(self.link(name)).status == 303
        return visitor

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """Entries of a kind, oldest first."""
        done = self.keten.command("ledger", "show", "--json", "--kind", kind)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def size(self) -> int:
        """How many entries there are."""
        with self.keten.keeper() as keeper:
            return keeper.call("keeper.status", Nothing(), Status).size
