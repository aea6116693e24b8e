"""A small estate."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
LINE = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def estate(*, extra: str = "", countries: str = "") -> str:
    """`extra`: more datasets, as lines of YAML. `countries`: of the contract."""
    named = f", countries: [{countries}]" if countries else ""
    return f"""
organisation: {{name: Gemeente Voorbeeld, country: NL, timezone: Europe/Amsterdam}}
people: [{{id: dpo, email: dpo@gemeente.example}}]
suppliers:
  - id: drukwerk
    name: Drukwerk BV
    country: NL
    tier: high
    clients: [{{id: drukwerk-batch, keys: ["{LINE}"]}}]
contracts:
  - {{id: vwo-1, supplier: drukwerk, starts: 2026-01-01, ends: 2026-12-31, purposes: [election-cards]{named}}}
datasets:
  - {{id: voters, owner: dpo, classification: confidential, retention_days: 90}}
{extra}grants:
  - {{id: voters-for-drukwerk, dataset: voters, contract: vwo-1, purpose: election-cards, form: file}}
"""
