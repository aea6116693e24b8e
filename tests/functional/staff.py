"""An instance with one person for each of the staff's roles, each with a browser and a passkey in software."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import msgspec

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from keten.identity.roles import STAFF
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.follow_protocol import Follow, Following
from keten.keeper.protocol import Nothing, Status
from keten.keeper.recovery_protocol import AskRecoveries, Recoveries
from keten.keeper.subject_protocol import Erase, Outcome
from keten.keeper.watch_protocol import Raise
from keten.pages.visits import browser_of
from keten.watch.model import Raised, Seen, Signal
from tests.visitor import Answer, Visitor

GEO = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n'
LETTERS = (
    '[mail]\nurl = "smtps://localhost:1"\nsender = "keten@example.org"\n'  # nobody listens there: they wait
    '[recovery]\nseasoned = "1s"\n'
)
_PEOPLE = "\n".join(f"  - {{id: {role}, email: {role}@example.org, roles: [{role}]}}" for role in STAFF)


def estate(key: str, more: str = "", other: str = "") -> str:
    """Somebody of each role, and a supplier that may fetch something. key: of its system account. other: grants."""
    return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
{_PEOPLE}
  - {{id: other-owner, email: oo@example.org, roles: [data-owner]}}
  - {{id: leaver, email: leaver@example.org, roles: [auditor]}}
  - {{id: signer, email: signer@example.org, roles: [privacy-officer]}}
  - {{id: leaver-officer, email: l@example.org, roles: [security-officer]}}
suppliers:
  - id: drukwerk
    name: Drukkerij De Pers
    country: NL
    tier: high
    people: [{{id: drukster, email: d@example.org, second_email: d@home.example, roles: [contact]}}]
    clients: [{{id: drukwerk-batch, keys: ["{key}"]}}]
  - {{id: leeg, name: Adviesbureau Leeg, country: BE, tier: low}}
{more}
contracts:
  - {{id: vwo-2026-014, supplier: drukwerk, starts: 2026-01-01, ends: 2099-12-31, purposes: [print], countries: [NL]}}
  - {{id: vwo-2025-001, supplier: drukwerk, starts: 2025-01-01, ends: 2025-12-31, purposes: [print]}}
datasets:
  - {{id: voters, owner: data-owner, classification: confidential, retention_days: 90}}
  - {{id: elsewhere, owner: other-owner, classification: internal, retention_days: 0}}
grants:
  - {{id: voters-for-print, dataset: voters, contract: vwo-2026-014, purpose: print, form: file,
     budget: {{records: 250, per: day}}}}
{other}"""


class House:
    """The instance, running, with content, and with what its supplier did. settings: further ones."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.instance = Throwaway(folder, settings=GEO + LETTERS + settings)
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

    def estate(self, more: str = "", other: str = "") -> str:
        """Its estate file. more: further suppliers; other: further grants."""
        return estate(self.key.line, more, other)

    def confirming(self, other: str = "") -> None:
        """From now on everything has to be confirmed within the month. other: further grants."""
        days = "timezone: Europe/Amsterdam, confirm_grants_days: 20, confirm_roles_days: 20}"
        self.instance.apply(self.estate(other=other).replace("timezone: Europe/Amsterdam}", days))

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

    def acted(self, start: int) -> list[str]:
        """What people did, by the entries from index `start` on: their kinds. The watch, say, may record meanwhile."""
        with KeeperClient(self.instance.paths.operator_socket) as client:
            page = client.call("ledger.follow", Follow(start, names=False), Following)
        assert not page.entries or page.entries[-1].index + 1 == page.size
        payloads = [one.read() for one in page.entries]
        return [one.kind for one in payloads if one is not None and one.actor.startswith("person:")]

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

    def say(self, person: str, verb: str, body: msgspec.Struct) -> None:
        """A verb by this person, as the console says it, without what its screens look at first."""
        visitor = self.browser(person)
        session = next(value for name, value in visitor.cookies.items() if name.endswith("session"))
        mark = next(value for name, value in visitor.cookies.items() if name.endswith("browser"))
        proof = said.PersonProof(session, browser_of(mark, "visitor"))
        with KeeperClient(self.instance.paths.console_socket) as client:
            client.call("people.origin", said.Origin(self.site), said.Done)
            client.call("people.do", said.Do(proof, verb, msgspec.msgpack.encode(body)), object)

    def refusals(self, person: str) -> int:
        """How many refusals of this person the ledger has."""
        lines = self.instance.command("ledger", "show", "--kind", "identity.person.refused", "--json").stdout
        return sum(self.id("person", person) in line for line in lines.splitlines())

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

    @cached_property
    def case(self) -> str:
        """A recovery of the supplier's contact, opened by the helpdesk; its id."""
        desk, path = self.browser("helpdesk"), f"/en/people/{self.id('person', 'drukster')}/recovery"
        page = desk.send(path, token=desk.get("/en/people").token)
        assert self.confirmed(desk, page, f"{path}/opened").status == 303
        with KeeperClient(self.instance.paths.operator_socket) as client:
            return client.call("recovery.cases", AskRecoveries(), Recoveries).cases[0].id

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
