"""The kinds of entry of the keeper itself."""

from __future__ import annotations

from keten.ledger.kinds import kind

INSTANCE_CREATED = kind(
    "keeper.instance.created",
    "A new instance: the first entry of its ledger.",
    {"version": "Keten's version", "origin": "the ledger's origin"},
)
KEEPER_STARTED = kind(
    "keeper.process.started",
    "The keeper started.",
    {
        "version": "Keten's version",
        "key_kind": "how its key is kept: bare, passphrase or credential",
        "open": "accesses of before that have no recorded end",
    },
)
KEEPER_STOPPED = kind("keeper.process.stopped", "The keeper stopped in good order.", {})
CLOCK_JUMPED = kind(
    "keeper.clock.jumped",
    "The clock was set back or forward; nothing is served until an operator accepts it.",
    {"what": "what was seen"},
)
CLOCK_ACCEPTED = kind(
    "keeper.clock.accepted",
    "An operator looked at the clock and accepted it.",
    {"what": "what had been seen", "clock": "what the clock said then (RFC 3339)"},
)
DATABASE_MOVED = kind(
    "keeper.database.moved",
    "The state was moved to another database, where the same ledger goes on: the first entry there.",
    {
        "from": "the database before, without a password",
        "to": "the database since then",
        "size": "entries that were copied",
        "root": "the tree's root over them (hex)",
    },
)
GATEWAY_CONNECTED = kind(
    "keeper.gateway.connected",
    "A gateway connected to the keeper.",
    {"name": "its name", "version": "its version", "user": "operating-system user", "pid": "process id"},
)
CERTIFICATE_ISSUED = kind(
    "keeper.certificate.issued",
    "The instance's own authority issued a TLS certificate for its gateway.",
    {"hosts": "names and addresses it is for", "sha256": "fingerprint", "until": "end of validity"},
)
LEDGER_EXPORTED = kind(
    "ledger.copy.exported",
    "An operator took a copy of the ledger with its payloads.",
    {"size": "entries in it", "target": "where to"},
)
