"""The demo's estate: a municipality, three suppliers, their contracts, and what each of them may have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = "Europe/Amsterdam"
OFFICER, ADMINISTRATOR = "fg", "beheer"
AT_PRINTER, AT_CARRIER = "drukwerk-contact", "zorgvervoer-contact"
"""People of suppliers, who sign in at the portal."""
PRINTER, OLD_PRINTER = "drukwerk-batch", "drukwerk-oud"
CARRIER, ARCHIVE = "zorgvervoer-planning", "archief-depot"
SUPPLIERS = {PRINTER: "drukwerk", OLD_PRINTER: "drukwerk-oud", CARRIER: "zorgvervoer", ARCHIVE: "archief"}
SHORT_CONTRACT = "vwo-2026-021"
VOTERS, RIDES, PEOPLE, CASES, DOCUMENTS = "kiesregister", "ritten", "bevolkingsregister", "oude-zaken", "oude-dossiers"


def moment(at: datetime) -> str:
    """A moment as an estate file has it, to the second."""
    return at.astimezone(ZoneInfo(ZONE)).isoformat(timespec="seconds")


def text(keys: Mapping[str, str], now: datetime, carrier_ends: datetime) -> str:
    """The estate file. `keys`: client → public key line. `carrier_ends`: of the contract that one sees end."""
    today = now.astimezone(ZoneInfo(ZONE)).date()
    last_month, next_year = today - timedelta(days=30), today + timedelta(days=365)
    return f"""\
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: {ZONE}}}
people:
  - {{id: {OFFICER}, email: fg@voorbeeld.example, roles: [privacy-officer]}}
  - {{id: {ADMINISTRATOR}, email: beheer@voorbeeld.example, roles: [administrator]}}
  - {{id: burgerzaken, email: burgerzaken@voorbeeld.example, roles: [data-owner]}}
suppliers:
  - id: drukwerk
    name: Drukkerij De Pers
    country: NL
    tier: high
    people: [{{id: {AT_PRINTER}, email: contact@depers.example, roles: [contact]}}]
    clients:
      - {{id: {PRINTER}, keys: ["{keys[PRINTER]}"]}}
      - {{id: {OLD_PRINTER}, keys: ["{keys[OLD_PRINTER]}"]}}
  - id: zorgvervoer
    name: Zorgvervoer Oost
    country: NL
    tier: critical
    people: [{{id: {AT_CARRIER}, email: contact@zorgvervoer.example, roles: [contact]}}]
    clients: [{{id: {CARRIER}, keys: ["{keys[CARRIER]}"]}}]
  - id: archief
    name: Archiefbeheer Noord
    country: BE
    tier: medium
    clients: [{{id: {ARCHIVE}, keys: ["{keys[ARCHIVE]}"]}}]
contracts:
  - id: vwo-2026-014
    supplier: drukwerk
    starts: {last_month}
    ends: {today + timedelta(days=120)}
    purposes: [stempassen-drukken]
    countries: [NL]
    notify_within_hours: 24
  - id: vwo-2027-002
    supplier: drukwerk
    starts: {today + timedelta(days=45)}
    ends: {next_year}
    purposes: [waterschapsverkiezing]
    countries: [NL]
    notify_within_hours: 24
  - id: {SHORT_CONTRACT}
    supplier: zorgvervoer
    starts: {last_month}
    ends: {moment(carrier_ends)}
    purposes: [leerlingenvervoer]
    countries: [NL]
    notify_within_hours: 4
  - id: vwo-2025-007
    supplier: archief
    starts: {last_month - timedelta(days=300)}
    ends: {next_year + timedelta(days=365)}
    purposes: [digitaal-archief, migratie]
    countries: [BE, NL]
    notify_within_hours: 48
datasets:
  - {{id: {VOTERS}, owner: burgerzaken, classification: confidential, retention_days: 90}}
  - {{id: {RIDES}, owner: burgerzaken, classification: confidential, retention_days: 30}}
  - {{id: {PEOPLE}, owner: burgerzaken, classification: confidential, retention_days: 60}}
  - {{id: {CASES}, owner: {OFFICER}, classification: confidential, retention_days: 60}}
  - {{id: {DOCUMENTS}, owner: {OFFICER}, classification: internal, retention_days: 365}}
grants:
  - id: kiesregister-voor-drukwerk
    dataset: {VOTERS}
    contract: vwo-2026-014
    purpose: stempassen-drukken
    form: file
    budget: {{records: 250000, per: day}}
  - id: kiesregister-voor-waterschap
    dataset: {VOTERS}
    contract: vwo-2027-002
    purpose: waterschapsverkiezing
    form: file
    to: [{PRINTER}]
  - id: ritten-voor-zorgvervoer
    dataset: {RIDES}
    contract: {SHORT_CONTRACT}
    purpose: leerlingenvervoer
    form: file
  - {{id: bevolking-voor-archief, dataset: {PEOPLE}, contract: vwo-2025-007, purpose: digitaal-archief, form: file}}
  - {{id: zaken-voor-archief, dataset: {CASES}, contract: vwo-2025-007, purpose: migratie, form: file}}
  - id: dossiers-voor-archief
    dataset: {DOCUMENTS}
    contract: vwo-2025-007
    purpose: digitaal-archief
    form: file
    label: oude-dossiers
"""
