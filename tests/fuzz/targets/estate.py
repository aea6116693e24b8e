"""Estate files: an estate that can be stored and read back, or every mistake with its line; no bombs, no aliases."""

from __future__ import annotations

import re

from keten.core.errors import Invalid
from keten.suppliers.estate import decode, encode
from keten.suppliers.reading import parse
from tests.fuzz.target import Target, refused
from tests.fuzz.targets.sign_in import KEY

ESTATE = f"""\
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    people:  [{{id: drukwerk-ops, email: ops@drukwerk.example}}]
    clients: [{{id: drukwerk-batch, keys: ["{KEY.public.line}"]}}]
contracts:
  - id: vwo-1
    supplier: drukwerk
    starts: 2026-01-01
    ends: 2026-12-31T17:00:00+01:00
    purposes: [election-cards]
    countries: [NL, BE]
    notify_within_hours: 24
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
grants:
  - id: voters-for-drukwerk
    dataset: voters
    contract: vwo-1
    purpose: election-cards
    form: file
    to: [drukwerk-batch]
    budget: {{records: 250000, per: day}}
""".encode()
LEAST = b"organisation: {name: G, country: NL, timezone: UTC}\n"
LINE = re.compile(r"f\.yaml:[0-9]+: .")


def check(data: bytes) -> bool:
    try:
        estate = parse(data, "f.yaml")
    except Invalid as error:
        lines = error.public.split("\n")
        assert all(LINE.match(line) or "more mistakes" in line for line in lines), "file, line and reason"
        assert all(line.isprintable() for line in lines), "what a file holds does nothing to a terminal"
        return refused(error, "estate")
    assert decode(encode(estate)) == estate
    return True


TARGET = Target(
    "estate",
    check,
    lambda: [ESTATE, LEAST],
    words=(
        *(
            b"&a ",
            b"*a",
            b"<<: *a",
            b"!!python/object:os.system ",
            b"%YAML 1.1\n---\n",
            b"---\n",
            b"? ",
            b"- ",
            b"{",
            b"[",
        ),
        *(
            b"- [" * 20,
            b"{a: " * 20,
            b"\xef\xbb\xbf",
            b"\r\n",
            b"\x85",
            b"|\n",
            b">-\n",
            b"'",
            b"9" * 30,
            b"0001-01-01",
        ),
        *(
            b"9999-12-31",
            b"T24:00:00Z",
            b"+23:59",
            b"id",
            b"Africa/Monrovia",
            b"\xe2\x80\xa8",
            b"*a: ",
            b"NaN",
            b"1_000",
        ),
    ),
    longest=3000,
    calls=(400, 50_000),
    memory=(600, 8 << 20),
)
