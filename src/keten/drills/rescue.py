"""An instance on which people get back in, for drills and tests: two addresses each, a mail server, and short times."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keten.drills.mailbox import Mailbox
from keten.drills.throwaway import Command, Throwaway
from keten.drills.visitor import Answer, Visitor
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from keten.keeper.recovery_protocol import AskRecoveries, Recoveries, RecoveryLine

TIMES = """
[recovery]
seasoned = "{seasoned}"
cool_down = {{public = "1s", internal = "1s", confidential = "{cool}", secret = "{cool}"}}
code = "{code}"
lapse = "1h"
reduced = "{reduced}"
"""
STAFF = """
organisation: {name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: desk, email: desk@example.org, second_email: desk@home.example, roles: [helpdesk]}
  - {id: both, email: both@example.org, roles: [helpdesk, data-owner]}
  - {id: owner, email: owner@example.org, roles: [data-owner]}
  - {id: other, email: other@example.org, roles: [data-owner]}
  - {id: admin, email: admin@example.org, second_email: admin@home.example, roles: [administrator]}
  - {id: ciso, email: ciso@example.org, roles: [security-officer, privacy-officer]}
  - {id: dpo, email: dpo@example.org, roles: [privacy-officer]}
datasets:
  - {id: voters, owner: owner, classification: confidential, retention_days: 90}
  - {id: streets, owner: both, classification: internal, retention_days: 90}
"""
SUPPLIER = """
  - id: s{n}
    name: Supplier {n}
    country: NL
    tier: high
    people:
      - {{id: contact{n}, email: contact{n}@press.example, second_email: contact{n}@home.example, roles: [contact]}}
      - {{id: deputy{n}, email: deputy{n}@press.example, roles: [contact]}}
      - {{id: member{n}, email: {email}, second_email: member{n}@home.example}}
      - {{id: single{n}, email: single{n}@press.example}}
"""
CONTRACT = "\n  - {{id: c{n}, supplier: s{n}, starts: 2026-01-01, ends: 2099-12-31, purposes: [print]}}"
GRANT = (
    "\n  - {{id: g{n}, dataset: voters, contract: c{n}, purpose: print, form: file}}"
    "\n  - {{id: h{n}, dataset: streets, contract: c{n}, purpose: print, form: file}}"
)


def estate(suppliers: int, **emails: str) -> str:
    """So many suppliers, all alike: a burst of recoveries freezes one, so that a test has one of its own.

    emails: of a member, where it is another one than at first.
    """
    numbers = range(suppliers)
    members = {n: emails.get(f"member{n}", f"member{n}@press.example") for n in numbers}
    parts = (
        ("suppliers", SUPPLIER, {n: {"n": n, "email": members[n]} for n in numbers}),
        ("contracts", CONTRACT, {n: {"n": n} for n in numbers}),
        ("grants", GRANT, {n: {"n": n} for n in numbers}),
    )
    return STAFF + "".join(f"{word}:{''.join(one.format(**of[n]) for n in numbers)}\n" for word, one, of in parts)


PART = re.compile(r"^ {4}([a-z2-7]{26})$", re.MULTILINE)
STOP = re.compile(r"http://localhost:\d+(/stop/[a-z2-7]{26})")
OPENED, CODE, DONE, CHANGED = "without its passkey", "part of your code", "new passkey was made", "were changed"
ASKED = "waits for your approval"


class House:
    """Use as a context manager, or `close` it. The instance, its mail server, and a browser for each person."""

    def __init__(self, folder: Path | None, suppliers: int, **times: str) -> None:
        self.suppliers = suppliers
        self._folder = folder or Path(tempfile.mkdtemp(prefix="keten-drill-"))
        self._made = folder is None
        self.mail = Mailbox(self._folder / "mail")
        self.mail.__enter__()
        usual = {"seasoned": "2s", "cool": "3s", "code": "10m", "reduced": "10m"}
        settings = self.mail.settings + TIMES.format(**(usual | times)) + '[portal]\nbind = "127.0.0.1:0"\n'
        self.keten = Throwaway(self._folder, settings=settings)
        self.keten.up()
        self.keten.apply(estate(suppliers))
        self.people: dict[str, Visitor] = {}

    @property
    def ids(self) -> dict[str, str]:
        """Name of a person → its random id."""
        return self.keten.ids["person"]

    def site(self, person: str) -> str:
        """Where a person signs in; suppliers' people have a number."""
        return str(self.keten.ready["portal" if person[-1].isdigit() else "console"])

    def browser(self, person: str) -> Visitor:
        """A browser in which this person is signed in, at first by a new passkey."""
        if person not in self.people:
            with KeeperClient(self.keten.paths.operator_socket) as client:
                token = client.call("people.invite", said.Invite(person), said.Invited).token
            visitor = Visitor(self.site(person))
            _went_well(visitor.enrol(f"{visitor.origin}/en/enrol#{token}"))
            self.people[person] = visitor
        return self.people[person]

    def everybody(self, *more: str) -> None:
        """Who takes part has a passkey, old enough for a case that is opened now. more: whom not every case needs."""
        for person in ("desk", "owner", *more):
            self.browser(person)
        for number in range(self.suppliers):
            for person in ("contact", "member"):
                self.browser(f"{person}{number}")
        time.sleep(2.5)

    # ---- steps ---------------------------------------------------------------------------------------------------

    def confirm(self, person: str, page: Answer, path: str, **fields: str) -> Answer:
        """What a page asked to confirm, confirmed by the person's passkey."""
        if page.status != 200:
            return page
        who = self.browser(person)
        name, options = page.ceremony
        return who.send(path, token=page.token, ceremony=name, response=who.key.get(options), **fields)

    def open(self, person: str, by: str = "desk") -> Answer:
        """The helpdesk opens a case."""
        who, path = self.browser(by), f"/en/people/{self.ids[person]}/recovery"
        page = who.send(path, token=who.get("/en/people").token)
        return self.confirm(by, page, f"{path}/opened")

    def approve(self, by: str, case: RecoveryLine | None = None) -> Answer:
        """Somebody approves the newest case."""
        case = case or self.case()
        who, kind = self.browser(by), "" if case.supplier else "-staff"
        token = who.get("/en/keys").token
        page = who.send(f"/en/recoveries/{case.id}/approve{kind}", token=token)
        return self.confirm(by, page, f"/en/recoveries/{case.id}/approved{kind}")

    def cases(self) -> tuple[RecoveryLine, ...]:
        """Every case, newest first."""
        with KeeperClient(self.keten.paths.operator_socket) as client:
            return client.call("recovery.cases", AskRecoveries(), Recoveries).cases

    def case(self) -> RecoveryLine:
        """The newest."""
        return self.cases()[0]

    def until(self, state: str, seconds: float = 30.0) -> RecoveryLine:
        """The newest case, once it is in this state."""
        deadline = time.monotonic() + seconds
        while (case := self.case()).state != state:
            if time.monotonic() > deadline:
                raise Command("late", f"A case did not become {state}: it is {case.state}.", self.keten.log()[-2000:])
            time.sleep(0.1)
        return case

    def parts(self, person: str, count: int = 1) -> tuple[str, str]:
        """Both parts of the code, out of the letters."""
        domain = "press.example" if person[-1].isdigit() else "example.org"
        letters = [self.mail.wait(f"{person}@{each}", CODE, count=count) for each in (domain, "home.example")]
        found = [PART.findall(letter.text) for letter in letters]
        return found[0][0], found[1][0]

    def stop_link(self, address: str, subject: str = OPENED, count: int = 1) -> str:
        """The path of "this is not me" in a letter."""
        return str(STOP.findall(self.mail.wait(address, subject, count=count).text)[0])

    def sent(self, person: str) -> tuple[str, str]:
        """A case from the call until the code is out: its two parts."""
        count = len(self.mail.of(f"{person}@home.example", CODE)) + 1
        _went_well(self.open(person))
        for by in (f"contact{person[-1]}", "owner") if person[-1].isdigit() else ("ciso", "dpo"):
            _went_well(self.approve(by))
        self.until("sent")
        return self.parts(person, count)

    def recover(self, person: str, parts: tuple[str, str], visitor: Visitor | None = None) -> tuple[Visitor, Answer]:
        """Type in both parts and make a passkey, in a fresh browser."""
        new = visitor or Visitor(self.site(person))
        page = new.send("/en/recover", token=new.get("/en/recover").token, first=parts[0], second=parts[1])
        if page.status != 200:
            return new, page
        name, options = page.ceremony
        made = new.key.create(options)
        return new, new.send("/en/recover/key", token=page.token, ceremony=name, response=made)

    def stop(self, path: str, person: str) -> Answer:
        """Follow the letter's link and press its button."""
        new = Visitor(self.site(person))
        page = new.get(f"/en{path}")
        return new.send(f"/en{path}", token=page.token)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """The entries of a kind, oldest first."""
        shown = self.keten.command("ledger", "show", "--kind", kind, "--json", "--limit", "1000")
        return [json.loads(line) for line in shown.stdout.splitlines()]

    def close(self) -> None:
        """Stop everything."""
        self.keten.down()
        self.mail.__exit__(None, None, None)
        if self._made:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _went_well(answer: Answer) -> None:
    if answer.status != http.client.SEE_OTHER:
        raise Command("page", f"A page answered {answer.status}.", answer.text[-2000:])
