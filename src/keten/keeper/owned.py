"""What a data owner touches: requests, alerts and budgets of the datasets that it owns, and no others (`roles.OWN`)."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection as Reading

from keten.budgets import asking
from keten.core.db import translated
from keten.core.errors import Conflict, NotFound
from keten.keeper.budget_protocol import AnswerRequest, AskBudgets, AskRequests
from keten.keeper.rights_protocol import MOST_CONFIRMED, AskUnconfirmed, ConfirmGrants, EndGrant
from keten.keeper.trusted import Trusted
from keten.keeper.watch_protocol import AskAlerts, Handle
from keten.suppliers.model import Grant
from keten.watch import handling
from keten.watch.row import Alert


class Owned:
    """For people who hold an act by owning data alone. Used in the event loop."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted

    def require(self, person: str, body: msgspec.Struct) -> None:
        """That what is asked for, or about, is of a dataset that this person owns now.

        1. A request, an alert, a grant: of such a dataset. What is another's looks as what is not there.
        2. What gives access back: whoever it is gets no other's data by it.
        3. A list: of one's own alone.

        Raises `NotFound` ("absent"), `Conflict` ("others-data"), `Corrupt`.
        """
        with translated(), self._trusted.reader.connect() as reading:
            match body:
                case AskRequests(request=request) | AnswerRequest(request=request):  # 1
                    self._own(person, asking.get(reading, request).dataset, "There is no such request.")
                case AskAlerts(alert=alert) if alert:
                    self._alert(reading, person, alert)
                case Handle(alert=alert, action=action):
                    found = self._alert(reading, person, alert)
                    if action in ("fine", "lift"):
                        self._back(person, found)  # 2
                case ConfirmGrants(grants=named):  # 1
                    for name in named[:MOST_CONFIRMED]:
                        self._grant(person, name)
                case EndGrant(grant=name):
                    self._grant(person, name)
                case AskBudgets(owner=owner) | AskUnconfirmed(owner=owner) if owner == person:  # 3
                    return
                case _:
                    raise NotFound("absent", "There is nothing of yours here.")

    def _alert(self, reading: Reading, person: str, alert: str) -> Alert:
        found = handling.get(reading, alert)
        self._own(person, found.dataset, "There is no such alert.")
        return found

    def _grant(self, person: str, name: str) -> None:
        grant = self._trusted.register.named("grant", name)
        self._own(person, grant.dataset if isinstance(grant, Grant) else "", "There is no such grant.")

    def _own(self, person: str, dataset_id: str, public: str) -> None:
        dataset = self._trusted.register.dataset(dataset_id) if dataset_id else None
        if dataset is None or dataset.owner != person:
            raise NotFound("absent", public, dataset_id)

    def _back(self, person: str, alert: Alert) -> None:
        """A response is against a principal or its supplier, whatever it was seen at: so is what ends it.

        A grant that has ended gives nothing back.
        """
        register = self._trusted.register
        if not alert.holds_at(self._trusted.clock.recording_time()) and alert.detector != handling.GUESSING:
            return
        for grant in register.grants_of(alert.supplier) if alert.supplier else ():
            if grant.ended is not None:
                continue
            concerned = alert.response == "freeze" or not grant.to or alert.principal in grant.to
            dataset = register.dataset(grant.dataset)
            if concerned and (dataset is None or dataset.owner != person):
                public = "It would give back data of other owners as well: a security officer can do that."
                raise Conflict("others-data", public, grant.id)
