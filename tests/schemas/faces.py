"""A running instance, and its two interfaces for programs as somebody uses them who may do everything there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keten.drills.supplier import SupplierSystem
from keten.identity.roles import STAFF
from keten.keeper import people_protocol as said
from keten.keeper.client import KeeperClient
from tests.functional.api_client import Program
from tests.office import ROWS, Office, key
from tests.visitor import Visitor

_SKIPPED = {"sign-out": "it would end what the others are tried with; tests/functional/test_api.py has it"}
_UNCONFIRMED = ("suppliers.apply",)
"""Verbs that a passkey never signs for here: an estate that was made up would end everybody."""


class Instance:
    """The office, with somebody who has every role."""

    def __init__(self, folder: Path) -> None:
        self.office = Office(folder, console=True)
        self.keten = self.office.keten
        self.office.start()
        text = self.office.estate()
        roles = ", ".join(STAFF)
        everybody = f"people:\n  - {{id: everybody, email: e@gemeente.example, roles: [{roles}]}}\n"
        self.keten.apply(text.replace("people:\n", everybody, 1))

    def console(self) -> Console:
        """`/api`."""
        return Console(self)

    def gateway(self) -> Gateway:
        """`/v1`."""
        return Gateway(self)

    def close(self) -> None:
        """Stop it."""
        self.keten.down()


class Console:
    """`/api`, by somebody with every role, whose passkey signs for whatever was asked as the description says."""

    verify: str | bool = True

    def __init__(self, instance: Instance) -> None:
        self.base = str(instance.keten.ready["console"])
        with KeeperClient(instance.keten.paths.operator_socket) as client:
            token = client.call("people.invite", said.Invite("everybody"), said.Invited).token
        visitor = Visitor(self.base)
        assert visitor.enrol(f"{self.base}/en/enrol#{token}").status == 303
        self._program = Program(self.base, visitor.key)
        assert self._program.sign_in().status == 200
        self.document: dict[str, Any] = self._program.ask("GET", "/openapi.json").body
        ids, why = instance.keten.ids, {"reason": "made up"}
        entry = instance.office.entries("--kind", "vault.object.stored")[0]["id"]
        self._known: dict[str, dict[str, Any]] = {
            "policy.decide": {"principal": "drukwerk-batch", "action": "lookup", "resource": "jobseekers"},
            "policy.replay": {"entry": entry},
            "ledger.locate": {"entry": entry},
            "people.invite": {"person": "dpo", "hours": 24},
            "subjects.erase": {"subject": ids["person"]["drukwerk-ops"], "basis": ""} | why,
            "revocation.destroy": {"target": ids["dataset"]["clients-in-care"], "kind": "dataset"} | why,
            "revocation.revoke": {"kind": "client", "target": ids["client"]["zorgvervoer-batch"]} | why,
        }
        """Verb → what makes a request about something that is there."""

    def skipped(self, operation: Any) -> str:
        """What is not tried."""
        return _SKIPPED.get(operation.definition.raw["operationId"], "")

    def last(self, operation: Any) -> bool:
        """Ten failures block this machine's network from passkeys for a while."""
        return bool(operation.definition.raw["operationId"] == "sign-in")

    def headers(self, case: Any, *, good: bool) -> dict[str, str]:
        """The token; and in a good request names of what is there, and the passkey's own signature."""
        verb = case.operation.definition.raw["operationId"]
        if good and isinstance(case.body, dict):
            if verb == "step-up":
                case.body["verb"] = list(self._known)[len(str(case.body)) % len(self._known)]
                case.body["act"] |= self._known[case.body["verb"]]
            elif "act" in case.body:
                if len(str(case.body)) % 2:
                    case.body["act"] |= self._known.get(verb, {})
                self._confirm(case.body, verb)
        return {"Authorization": f"Bearer {self._program.token}"}

    def _confirm(self, body: dict[str, Any], verb: str) -> None:
        if verb in _UNCONFIRMED:
            return
        begun = self._program.ask("POST", "/step-up", {"verb": verb, "act": body["act"]})
        if begun.status == 200:
            body["passkey"] = self._program.signature(begun.body)


class Gateway:
    """`/v1` and what is beside it, by a supplier's system with a grant of each form."""

    def __init__(self, instance: Instance) -> None:
        self._system: SupplierSystem = instance.office.town.printer()
        self.base = self._system.url
        self.verify: str | bool = str(instance.keten.paths.ca)
        self.document: dict[str, Any] = json.loads(self._system.ask("GET", "/openapi.json").body)
        shares = self._system.shares()
        lookups = [one["id"] for one in shares if one["form"] == "lookup"]
        self._known = {
            "/v1/shares/{id}": [one["id"] for one in shares],
            "/v1/shares/{id}/more": lookups,
            "/v1/lookups/{id}": lookups,
            "/v1/objects/{id}": [each["id"] for one in shares for each in one["objects"]],
        }

    def skipped(self, _operation: Any) -> str:
        """Nothing is left out."""
        return ""

    def last(self, _operation: Any) -> bool:
        """None."""
        return False

    def headers(self, case: Any, *, good: bool) -> dict[str, str]:
        """A token that is new when the old one is over, and a proof for this very request.

        Most good requests are about something that is there, and half of the lookups ask for a record that is there.
        """
        known = self._known.get(case.operation.path, [])
        if good and known:
            number = sum(str((case.path_parameters, case.query, case.body)).encode()) % (len(known) + 2)
            if number < len(known):
                case.path_parameters["id"] = known[number]
            if isinstance(case.body, dict) and "keys" in case.body and sum(str(case.body).encode()) % 2:
                case.body |= {"keys": [key(len(str(case.body)) % ROWS)], "case": "a case"}
                case.body.pop("columns", None)
        if self._system.get("/v1/shares", method="HEAD").status == 401:
            assert self._system.sign_in().status == 200
        path = urlsplit(case.as_transport_kwargs(base_url=self.base)["url"]).path
        return self._system.authorised(case.method.upper(), path)
