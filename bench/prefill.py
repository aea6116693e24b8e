"""Entries in bulk, through the same sealing as the keeper's own, while no keeper runs."""

from __future__ import annotations

import os
import random
import time

from keten.core.db import reading_engine, writing_engine
from keten.core.ids import new_id
from keten.core.settings import Settings
from keten.exchange import entries as kinds
from keten.keeper.rootkey import load_root_key
from keten.keeper.trusted import ledger_sealer, ledger_signer, read_origin
from keten.ledger import postings
from keten.ledger.model import Draft
from keten.ledger.notes import Verifier
from keten.ledger.publishing import Publishing
from keten.ledger.writing import Writing, load_head

_AT_ONCE = 20_000
_STEP_US = 1000


def publish(settings: Settings) -> float:
    """Write the tree's files for what `fill` added, as a running keeper has done long since; returns the seconds."""
    paths = settings.paths
    reader = reading_engine(paths.database)
    began = time.monotonic()
    Publishing(
        paths.ledger, Verifier.parse((paths.ledger / "key.pub").read_text(encoding="utf-8").strip()), reader
    ).catch_up()
    reader.dispose()
    return time.monotonic() - began


def fill(settings: Settings, count: int, clients: int = 1000, seed: int = 1) -> None:
    """Add deliveries until the ledger has `count` entries; the posting lists go along."""
    root = load_root_key(settings, None)
    origin = read_origin(settings.paths.ledger / "key.pub")
    sealer = ledger_sealer(root, origin)
    verifier = Verifier.parse(ledger_signer(root, origin).verifier_key())
    engine = writing_engine(settings.state)
    drawn = random.Random(seed)  # which client fetched what in a measurement is no secret
    who = [new_id() for _ in range(clients)]
    words = ("object", "dataset", "grant", "contract", "supplier")
    what = [{word: new_id() for word in words} for _ in range(50)]
    opening = new_id()
    with engine.connect() as connection:
        found = load_head(connection, verifier)
    if found is None:
        raise RuntimeError("not an instance")
    head = found
    newest = postings.Newest(head.size)
    while head.size < count:
        with engine.begin() as connection:
            writing = Writing(connection, sealer, head, head.time_us + _STEP_US)
            for index in range(head.size, min(head.size + _AT_ONCE, count)):
                client = drawn.choice(who)
                details = {"opening": opening, "opened_at": index - 1, "bytes": 1024, "end": "complete"}
                writing.record(Draft(kinds.OBJECT_DELIVERED, client, (client,), drawn.choice(what), details))
            batch = writing.seal(low_water=count)
            if batch is None:
                raise RuntimeError("nothing was sealed")
        head = batch.head
        newest.add(batch.first, batch.drafts)
        posted = -1
        while True:
            with engine.begin() as connection:
                now = newest.write(connection, _AT_ONCE)
            newest.forget(now)
            if now == posted:
                break
            posted = now
    engine.dispose()
    os.sync()  # or the measurement that follows pays for writing back what was filled in here
