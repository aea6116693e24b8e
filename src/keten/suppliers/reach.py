"""What a person may reach, and who owns that: by it the cool-down of a recovery, and who approves it."""

from __future__ import annotations

from keten.datasets.model import CLASSIFICATIONS
from keten.identity.model import Person
from keten.identity.recovery.service import Reach
from keten.identity.roles import may, roles_of
from keten.suppliers.model import Grant
from keten.suppliers.register import Register

STAFF_REACH = Reach((CLASSIFICATIONS[-1],), ())
"""Of the organisation's own people: they change what others may reach, so it is the highest class. Roles approve."""


def reach_of(register: Register, person: Person, now_us: int) -> Reach:
    """What a person may reach at a moment.

    1. One of the organisation's own: `STAFF_REACH`.
    2. One of a supplier: what is granted to it. A contact speaks for its supplier, and whoever is granted nothing of
       its own is to be one of it: for both, all that is granted to the supplier.
    3. The owners are those that have not ended and hold the role that approves.

    A grant counts until its contract is over; one whose contract has not begun counts too, and so does one that nobody
    has confirmed: its owner may still confirm it. Raises `Corrupt`.
    """
    if not person.supplier:  # 1
        return STAFF_REACH
    granted = [one for one in register.grants_of(person.supplier) if _counts(register, one, now_us)]  # 2
    own = [one for one in granted if not one.to or person.id in one.to]
    contact = may(roles_of(person, now_us), "portal-approve-recovery")
    datasets = {one.dataset for one in (granted if contact or not own else own)}
    found = [row for row in map(register.dataset, sorted(datasets)) if row is not None and row.ended is None]
    owners = {row.owner for row in found if _owns(register.person(row.owner), now_us)}  # 3
    return Reach(tuple(sorted({row.classification for row in found})), tuple(sorted(owners)))


def _counts(register: Register, grant: Grant, now_us: int) -> bool:
    if grant.ended is not None:
        return False
    contract = register.contract(grant.contract)
    return contract is not None and contract.ended is None and now_us < contract.ends_us


def _owns(owner: Person | None, now_us: int) -> bool:
    if owner is None or owner.ended is not None:
        return False
    return may(roles_of(owner, now_us), "approve-recovery")
