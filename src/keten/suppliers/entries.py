"""The kinds of entry of the organisation, suppliers, contracts and grants."""

from __future__ import annotations

from keten.identity.entries import CHANGED, CONFIRMED, DECLARED, ENDED
from keten.ledger.kinds import kind

ORGANISATION_DECLARED = kind("suppliers.organisation.declared", "The organisation was entered.", DECLARED)
ORGANISATION_CHANGED = kind(
    "suppliers.organisation.changed", "The organisation's name, country or time zone changed.", CHANGED
)
SUPPLIER_DECLARED = kind("suppliers.supplier.declared", "A supplier was entered into the register.", DECLARED)
SUPPLIER_CHANGED = kind("suppliers.supplier.changed", "What the register says about a supplier changed.", CHANGED)
_FROZEN = CHANGED | {"after": "the row with `frozen`: until when (microseconds UTC), why and by whom"}
SUPPLIER_FROZEN = kind("suppliers.supplier.frozen", "Nobody of a supplier gets access until a moment.", _FROZEN)
SUPPLIER_RELEASED = kind("suppliers.supplier.released", "A supplier that was frozen has access again.", CHANGED)
SUPPLIER_ENDED = kind("suppliers.supplier.ended", "All access of a supplier ended, for good.", ENDED)
CONTRACT_DECLARED = kind("suppliers.contract.declared", "A contract was entered into the register.", DECLARED)
CONTRACT_CHANGED = kind("suppliers.contract.changed", "A contract's period, purposes or terms changed.", CHANGED)
CONTRACT_ENDED = kind("suppliers.contract.ended", "All access under a contract ended, for good.", ENDED)
GRANT_DECLARED = kind("suppliers.grant.declared", "A dataset was granted to a supplier.", DECLARED)
GRANT_CHANGED = kind("suppliers.grant.changed", "A grant's purpose, recipients or limits changed.", CHANGED)
GRANT_CONFIRMED = kind("suppliers.grant.confirmed", "A grant was confirmed: it is still needed.", CONFIRMED)
RIGHTS_REMINDED = kind(
    "suppliers.rights.reminded",
    "Somebody was asked by letter to confirm rights.",
    {"count": "how many rights wait for that person", "first": "when the first of them lapses, or did"},
)
GRANT_ENDED = kind("suppliers.grant.ended", "Access by a grant ended, for good.", ENDED)
