"""The register as commands see it: from the organisation's own names to random ids and back, and moments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from keten.core.db import reading_engine, translated
from keten.core.errors import Corrupt, Invalid
from keten.core.ids import is_id
from keten.core.settings import Settings
from keten.ledger.query import Filter, find
from keten.suppliers import moments
from keten.suppliers.register import Register
from keten.vault import service as vault

PRINCIPALS = ("client", "person")
OPERATOR = "operator:"


class Names:
    """Names and ids of one register. What does not hold is shown by its id: `ledger verify` says what is wrong."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._register = Register(engine)
        self._shown: dict[tuple[str, str], str] = {}

    def id_of(self, kind: str, text: str) -> str:
        """The random id of a row, by name or id; "" stays what it is. `Invalid` ("unknown-name")."""
        found = self._found(kind, text) if text else ""
        if found is None:
            raise Invalid("unknown-name", f"There is no {kind} {text!r} in the register.")
        return found

    def principal(self, text: str) -> str:
        """The id of a client or person, by name or id; "operator:NAME" and "keeper" stay what they are."""
        if not text or text.startswith(OPERATOR) or text == "keeper":
            return text
        for kind in PRINCIPALS:
            found = self._found(kind, text)
            if found is not None:
                return found
        raise Invalid("unknown-name", f"There is no client or person {text!r} in the register.")

    def subject(self, text: str) -> str:
        """The id of whom an entry is about: a client or person by name or id, or a record of a table by its id."""
        if not is_id(text) or any(self._found(kind, text) for kind in PRINCIPALS):
            return self.principal(text)
        with translated(), self._engine.connect() as connection:
            if next(find(connection, Filter(subject=text, limit=1)), None) is None:
                raise Invalid("unknown-name", f"There is no client, person or record {text!r} that an entry is about.")
        return text

    def object(self, text: str) -> str:
        """The id of an object, by id or as DATASET/FILE."""
        dataset, slash, name = text.partition("/")
        if not slash:
            if text and not is_id(text):
                raise Invalid("unknown-name", f"Name an object by its id, or as DATASET/FILE; not as {text!r}.")
            if text and self._object(text) is None:
                raise Invalid("unknown-name", f"There is no object {text!r}.")
            return text
        with translated(), self._engine.connect() as connection:
            for found in vault.objects_of(connection, self.id_of("dataset", dataset)):
                if found.name == name:
                    return found.id
        raise Invalid("unknown-name", f"There is no {name!r} in the dataset {dataset!r}.")

    def unknown(self, client: str, resource: str) -> list[str]:
        """What of a question nobody knows, in sentences."""
        found = [] if self._found("client", client) else [f"There is no client {client!r} in the register."]
        dataset, slash, _file = resource.partition("/")
        if not self._found("dataset", dataset) and not (not slash and self._object(resource)):
            return [*found, f"There is no dataset or object {dataset!r} in the register."]
        try:
            self.object(resource) if slash else None
        except Invalid as error:
            found.append(error.public)
        return found

    def _found(self, kind: str, text: str) -> str | None:
        """The id of a row by name or id; None when there is none. What does not hold is still there, by its id."""
        try:
            found = self._register.named(kind, text)
        except Corrupt:
            if is_id(text):
                return text
            raise
        return found.id if found else None

    def _object(self, object_id: str) -> str | None:
        """An object's file name, of a destroyed one too; None when there is none."""
        try:
            with translated(), self._engine.connect() as connection:
                found = vault.object(connection, object_id)
        except Corrupt:
            return object_id
        return found.name if found else None

    def name(self, kind: str, row_id: str) -> str:
        """The organisation's own name of a row; its id when there is none."""
        key = (kind, row_id)
        if key not in self._shown:
            self._shown[key] = self._look_up(kind, row_id)
        return self._shown[key]

    def actor(self, actor: str) -> str:
        """Who acted, by name where it is someone of the register."""
        if not is_id(actor):
            return actor
        return next((name for kind in PRINCIPALS if (name := self.name(kind, actor)) != actor), actor)

    def named(self, word: str, found: str) -> str:
        """The name of what an entry refers to, by the word that it does so with."""
        return self.actor(found) if word == "actor" else self.name(word, found)

    def _look_up(self, kind: str, row_id: str) -> str:
        if not is_id(row_id):
            return row_id
        try:
            if kind == "object":
                return self._object(row_id) or row_id
            found = self._register.named(kind, row_id)
        except (Corrupt, ValueError):  # ValueError: not a kind of row
            return row_id
        return found.name if found else row_id

    def zone(self) -> ZoneInfo:
        """The organisation's time zone; UTC before the first estate."""
        organisation = self._register.organisation()
        return ZoneInfo(organisation.timezone if organisation else "UTC")

    def start(self, option: str, text: str) -> int:
        """The moment from which a date or time holds, in microseconds. `Invalid` ("time")."""
        try:
            return moments.start_us(text, self.zone())
        except ValueError as error:
            raise Invalid("time", f"{option} {text!r}: {error}.") from error

    def end(self, option: str, text: str) -> int:
        """The moment up to which a date or time holds: a date to the end of its day. `Invalid` ("time")."""
        try:
            return moments.end_us(text, self.zone())
        except ValueError as error:
            raise Invalid("time", f"{option} {text!r}: {error}.") from error

    def close(self) -> None:
        """Give the connection back."""
        self._register.close()


@contextmanager
def names(settings: Settings) -> Iterator[tuple[Names, Engine]]:
    """The register's names and the read-only engine under them. Raises `Unavailable`, `Corrupt`."""
    engine = reading_engine(settings.state)
    found = Names(engine)
    try:
        with translated():
            yield found, engine
    finally:
        found.close()
        engine.dispose()
