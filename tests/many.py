"""Very many rows of an instance that does not run, through the same sealing as the keeper's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from keten.core.clock import wall_us
from keten.core.db import writing_engine
from keten.core.ids import new_id
from keten.core.settings import load_settings
from keten.datasets.rows import datasets
from keten.drills.throwaway import Throwaway
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ledger_sealer, ledger_signer, read_origin
from keten.ledger.notes import Verifier
from keten.ledger.writing import Writing, load_head
from keten.suppliers import rows
from keten.vault import entries
from keten.vault.model import Object
from keten.vault.rules import digest_text
from keten.vault.tables import objects


def write_objects(writing: Writing, dataset: str, names: Iterable[str], expires_us: int = 0) -> None:
    """Rows of objects, bound to their entries, without content."""
    for name in names:
        row = Object(
            id=new_id(),
            name=name,
            dataset=dataset,
            storage=new_id(),
            size=1,
            digest=digest_text(bytes(32)),
            media_type="text/csv",
            records=1,
            put_us=writing.time_us,
            expires_us=expires_us,
        )
        writing.write(objects, None, row, entries.OBJECT_STORED, "operator:test", refs={"dataset": dataset})


def add_objects(keten: Throwaway, dataset: str, names: Iterable[str]) -> None:
    """Objects in the dataset of this random id, without content."""
    _write(keten, lambda writing: write_objects(writing, dataset, names))


def add_dataset(keten: Throwaway, like: str, name: str) -> str:
    """A dataset like the one of this random id; its own."""
    made = new_id()

    def fill(writing: Writing) -> None:
        dataset = datasets.get(writing.connection, like)
        assert dataset is not None
        datasets.declare(writing, msgspec.structs.replace(dataset, id=made, name=name), "operator:test")

    _write(keten, fill)
    return made


def add_grants(keten: Throwaway, like: str, labels: Iterable[str], dataset: str) -> None:
    """Grants like the one of this random id, each with a label of its own, of another dataset."""

    def fill(writing: Writing) -> None:
        grant = rows.grants.get(writing.connection, like)
        assert grant is not None
        for label in labels:
            row = msgspec.structs.replace(grant, id=new_id(), name=label, label=label, dataset=dataset)
            rows.grants.declare(writing, row, "operator:test")

    _write(keten, fill)


def _write(keten: Throwaway, fill: Callable[[Writing], None]) -> None:
    settings = load_settings(keten.home, {})
    root = load_root_key(settings, None)
    origin = read_origin(settings.paths.ledger / "key.pub")
    engine = writing_engine(settings.paths.database)
    with engine.begin() as connection:
        head = load_head(connection, Verifier.parse(ledger_signer(root, origin).verifier_key()))
        assert head is not None
        writing = Writing(connection, ledger_sealer(root, origin), head, wall_us())
        fill(writing)
        writing.seal(low_water=writing.next_index)
    engine.dispose()
