"""Who and what can be asked about, by the names that people know them by."""

from __future__ import annotations

import msgspec

from keten.console.readings.desk import Reading
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person

MOST_OFFERED = 200


class Offered(msgspec.Struct, frozen=True):
    """Names that a form offers: of system accounts and people of suppliers, and of datasets; the first of each."""

    who: tuple[str, ...]
    what: tuple[str, ...]


def names(reading: Reading) -> Offered:
    """As stored: what is asked with one of them is looked up, and checked, then."""
    clients = [name for _id, name, _more in reading.rows.called(Client, MOST_OFFERED, "supplier")]
    people = [name for _id, name, of in reading.rows.called(Person, MOST_OFFERED, "supplier") if of]
    datasets = [name for _id, name, _more in reading.rows.called(Dataset, MOST_OFFERED)]
    return Offered(tuple(dict.fromkeys((*clients, *people))), tuple(datasets))


def principal(reading: Reading, text: str) -> str:
    """The id of the system account or person of this name or id; "" where there is none.

    A system account comes before a person of the same name, one that stands before one that has ended.
    """
    clients = _called(reading, Client, text)
    people = [] if clients else _called(reading, Person, text)
    return next(iter((*clients, *people)), "")


def _called(reading: Reading, kind: type[Client | Person], text: str) -> list[str]:
    """Ids, those that stand first."""
    rows = reading.rows.some(kind, [text]) if is_id(text) else reading.rows.all(kind, name=text)
    return [one.id for one in sorted(rows, key=lambda one: one.ended is not None)]
