"""An instance with one person for each of the staff's roles, each with a browser and a passkey in software."""

from __future__ import annotations

import json
from pathlib import Path

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.identity.roles import STAFF
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.protocol import Nothing, Status
from keten.keeper.subject_protocol import Erase, Outcome
from keten.keeper.watch_protocol import Raise
from keten.watch.model import Raised, Seen, Signal
from tests.visitor import Answer, Visitor

GEO = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n'
_PEOPLE = "\n".join(f"  - {{id: {role}, email: {role}@example.org, roles: [{role}]}}" for role in STAFF)


def estate(key: str, more: str = "") -> str:
    """Somebody of each role, and a supplier that may fetch something. key: of its system account."""
    return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
{_PEOPLE}
  - {{id: leaver, email: leaver@example.org, roles: [auditor]}}
  - {{id: signer, email: signer@example.org, roles: [privacy-officer]}}
  - {{id: leaver-officer, email: l@example.org, roles: [security-officer]}}
suppliers:
  - id: drukwerk
    name: Drukkerij De Pers
    country: NL
    tier: high
    people: [{{id: drukster, email: d@example.org, roles: [contact]}}]
    clients: [{{id: drukwerk-batch, keys: ["{key}"]}}]
  - {{id: leeg, name: Adviesbureau Leeg, country: BE, tier: low}}
{more}
contracts:
  - {{id: vwo-2026-014, supplier: drukwerk, starts: 2026-01-01, ends: 2099-12-31, purposes: [print], countries: [NL]}}
  - {{id: vwo-2025-001, supplier: drukwerk, starts: 2025-01-01, ends: 2025-12-31, purposes: [print]}}
datasets:
  - {{id: voters, owner: data-owner, classification: confidential, retention_days: 90}}
grants:
  - {{id: voters-for-print, dataset: voters, contract: vwo-2026-014, purpose: print, form: file,
     budget: {{records: 250, per: day}}}}
"""


class House:
    """The instance, running, with content, and with what its supplier did."""

    def __init__(self, folder: Path) -> None:
        self.instance = Throwaway(folder, settings=GEO)
        self.key = Key(folder / "batch")
        self.instance.up()
        self.instance.apply(self.estate())
        file = folder / "voters.csv"
        file.write_text("name,street\n" + "".join(f"n{one},s{one}\n" for one in range(120)))
        self.instance.run("put", "voters", str(file))
        client = self.instance.ids["client"]["drukwerk-batch"]
        given = ("--key", str(self.key.path), "--ca", self.instance.ready["ca"])
        self.instance.run("login", self.instance.ready["gateway"], "--client", client, *given, home=False)
        (share,) = self.instance.run("ls", home=False)
        self.instance.run("get", share["path"], "-o", str(folder / "got.csv"), home=False)
        self.people: dict[str, Visitor] = {}
        self.asked = self.more("the <b>second</b> round")
        self.seen = self.alert()
        self.proposed = self.proposal("drukster")

    def estate(self, more: str = "") -> str:
        """Its estate file. more: further suppliers."""
        return estate(self.key.line, more)

    @property
    def site(self) -> str:
        """The console's address."""
        return str(self.instance.ready["console"])

    def id(self, word: str, name: str) -> str:
        """The random id of a row."""
        return self.instance.ids[word][name]

    def entries(self) -> int:
        """How many entries the ledger has."""
        with KeeperClient(self.instance.paths.operator_socket) as client:
            return client.call("keeper.status", Nothing(), Status).size

    def alert(self, detector: str = "volume") -> str:
        """The watch sees something about the supplier's system account; the alert's id."""
        ids, count = self.instance.ids, self.entries()
        with KeeperClient(self.instance.paths.operator_socket) as client:
            signal = Signal(
                detector=detector,
                severity="high",
                time_us=client.call("keeper.status", Nothing(), Status).time_us,
                principal=ids["client"]["drukwerk-batch"],
                supplier=ids["supplier"]["drukwerk"],
                dataset=ids["dataset"]["voters"],
                facts={"records": 1200, "usual": 12},
            )
            (made,) = client.call("watch.raise", Raise((Seen(count - 1, signal),), count), Raised).new
        return made

    def more(self, why: str) -> str:
        """The supplier's system account asks for 30 records more; the request's id."""
        ready, client = self.instance.ready, self.instance.ids["client"]["drukwerk-batch"]
        system = SupplierSystem(ready["gateway"], Path(ready["ca"]), client, self.key.private)
        assert system.sign_in().status == 200
        path = f"/v1/shares/{next(iter(system.shares()))['id']}/more"
        body = json.dumps({"records": 30, "why": why, "case": "C-1"}).encode()
        said = b""
        for _each in range(2):  # the first time the server may ask for a nonce
            extra = {"Content-Type": "application/json"}
            answer = system.ask("POST", path, system.authorised("POST", path, extra), body)
            system.nonce = answer.headers.get("dpop-nonce", system.nonce)
            if answer.status == 200:
                return str(answer.json()["request"]["id"])
            said = answer.body
        raise AssertionError(said)

    def proposal(self, person: str) -> str:
        """Somebody at the command line asks for the erasure of a person; the request's id."""
        with KeeperClient(self.instance.paths.operator_socket) as client:
            asked = client.call("subjects.erase", Erase(person, "a <i>letter</i>", "GDPR 17"), Outcome)
        assert asked.request is not None
        return asked.request.id

    def invite(self, person: str) -> str:
        """A one-time link's secret."""
        with KeeperClient(self.instance.paths.operator_socket) as client:
            return client.call("people.invite", said.Invite(person), said.Invited).token

    def browser(self, person: str) -> Visitor:
        """A browser in which this person is signed in, at first by a new passkey."""
        if person not in self.people:
            visitor = Visitor(self.site)
            assert visitor.enrol(f"{self.site}/en/enrol#{self.invite(person)}").status == 303
            self.people[person] = visitor
        return self.people[person]

    def confirmed(self, who: Visitor, page: Answer, path: str, **fields: str) -> Answer:
        """What a page asked to confirm, confirmed by who's passkey."""
        name, options = page.ceremony
        return who.send(path, token=page.token, ceremony=name, response=who.key.get(options), **fields)

    def close(self) -> None:
        """Stop it; its folder stays."""
        self.instance.down()
