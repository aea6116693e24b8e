"""Whether a client or a supplier's person may come in: not held back, and its supplier has a contract that runs."""

from __future__ import annotations

from keten.identity.model import Client, Person
from keten.suppliers.model import Supplier
from keten.suppliers.register import Register


def reasons_against(register: Register, client: Client | Person, now_us: int) -> tuple[str, ...]:
    """Why this client or person may not come in now; empty when it may. Raises `Corrupt` ("register-mismatch")."""
    if client.ended is not None:
        return ("client-ended",)
    supplier = register.supplier(client.supplier)
    if supplier is None or supplier.ended is not None:
        return ("supplier-ended",)
    restrained = restraints_against(client, supplier, now_us)
    if restrained:
        return restrained
    contracts = register.contracts_of(client.supplier)
    if any(one.ended is None and one.starts_us <= now_us < one.ends_us for one in contracts):
        return ()
    if any(one.ended is not None for one in contracts) and not any(one.ended is None for one in contracts):
        return ("revoked",)
    if any(one.ended is None and now_us < one.starts_us for one in contracts):
        return ("contract-not-started",)
    return ("contract-ended",) if contracts else ("no-contract",)


def restraints_against(client: Client | Person, supplier: Supplier | None, now_us: int) -> tuple[str, ...]:
    """Why this client or person, which has not ended, gets nothing for a while; empty when it may go on."""
    if client.suspended_at(now_us):
        return ("suspended",)
    return ("supplier-frozen",) if supplier is not None and supplier.frozen_at(now_us) else ()
