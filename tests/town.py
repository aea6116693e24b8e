"""A municipality with two suppliers, running: what functional and fault tests start from."""

from __future__ import annotations

from pathlib import Path

from keten.drills.supplier import SupplierSystem
from keten.drills.throwaway import Key, Throwaway
from tests.cluster import database_url

SETTINGS = '[geo]\nnetworks = {"127.0.0.0/8" = "NL"}\n'
UNWATCHED = f"{SETTINGS}[watch]\nenabled = false\n"  # one process less to start, where a test is not about it
PRINTER, CARRIER = "drukwerk-batch", "zorgvervoer-batch"


def estate(printer: str, carrier: str, *, ends: str = "2099-12-31", extra: str = "") -> str:
    """A municipality with two suppliers; `ends`: of the printing house's contract."""
    return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people:
  - {{id: dpo, email: dpo@gemeente.example, roles: [privacy-officer]}}
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    people: [{{id: drukwerk-ops, email: ops@drukwerk.example}}]
    clients: [{{id: {PRINTER}, keys: ["{printer}"]}}]
  - id: zorgvervoer
    name: Zorgvervoer Oost
    country: NL
    tier: medium
    clients: [{{id: {CARRIER}, keys: ["{carrier}"]}}]
contracts:
  - {{id: vwo-1, supplier: drukwerk, starts: 2026-01-01, ends: {ends}, purposes: [election-cards], countries: [NL]}}
  - {{id: vwo-2, supplier: zorgvervoer, starts: 2026-01-01, ends: 2099-12-31, purposes: [care-transport]}}
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
  - {{id: clients-in-care, owner: dpo, classification: confidential, retention_days: 30}}
grants:
  - {{id: voters-for-drukwerk, dataset: voters, contract: vwo-1, purpose: election-cards, form: file}}
  - {{id: care-for-zorgvervoer, dataset: clients-in-care, contract: vwo-2, purpose: care-transport, form: file}}
{extra}"""


class Town:
    """The instance with its two suppliers' systems and what was put.

    watched: also looked at by the watch; console: with one. Each is one process more to start.
    """

    def __init__(self, folder: Path, *, database: str = "", watched: bool = False, console: bool = False) -> None:
        settings = SETTINGS if watched else UNWATCHED
        self.keten = Throwaway(folder, settings=settings, database=database or database_url(), console=console)
        self.printer_key = Key(folder / "printer")
        self.carrier_key = Key(folder / "carrier")
        self.voters = folder / "voters.csv"
        self.voters.write_text("bsn,name\n" + "".join(f"{n:09},Kiezer {n}\n" for n in range(20_000)))
        self.care = folder / "care.bin"
        self.care.write_bytes(bytes(range(256)) * 20_000)  # 4.9 MiB: several frames

    def start(self) -> None:
        """Apply, put and run."""
        self.keten.up()
        self.apply()
        self.keten.run("put", "voters", str(self.voters))
        self.keten.run("put", "clients-in-care", str(self.care))

    def apply(self, *, ends: str = "2099-12-31", extra: str = "") -> None:
        """Apply the estate, with changes."""
        self.keten.apply(estate(self.printer_key.line, self.carrier_key.line, ends=ends, extra=extra))

    def system(self, name: str, key: Key) -> SupplierSystem:
        """A supplier's system, not signed in yet."""
        client = self.keten.ids["client"][name]
        return SupplierSystem(self.keten.ready["gateway"], self.keten.paths.ca, client, key.private)

    def printer(self) -> SupplierSystem:
        """The printing house's system, signed in."""
        system = self.system(PRINTER, self.printer_key)
        assert system.sign_in().status == 200
        return system

    def carrier(self) -> SupplierSystem:
        """The care transport's system, signed in."""
        system = self.system(CARRIER, self.carrier_key)
        assert system.sign_in().status == 200
        return system
