"""From rows of the register to the one slice of attributes that a decision looks at. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from keten.core.errors import Corrupt
from keten.core.ids import is_id
from keten.datasets.model import Dataset
from keten.identity.model import Client, Person
from keten.policy.model import Attributes
from keten.suppliers.model import Contract, Grant, Supplier

MAX_MISMATCH = 300
Principal = Client | Person


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What is asked, of whom and of what; ids as the caller gave them. `expires_us` 0: no end of retention.

    grant: the only one that may answer it; "": any.
    """

    principal: str
    dataset: str
    action: str
    country: str
    at_us: int
    purpose: str = ""
    expires_us: int = 0
    grant: str = ""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A grant that may answer what is asked, with its contract."""

    grant: Grant
    contract: Contract


def unknown(asked: Asked, supplier: str = "", mismatch: str = "") -> Attributes:
    """The slice when something is absent, or (`mismatch`) when the register can't be believed. Always denied."""
    return Attributes(
        action=asked.action,
        time_us=asked.at_us,
        country=asked.country,
        purpose=asked.purpose,
        checked=not mismatch,
        mismatch=mismatch[:MAX_MISMATCH],
        principal=asked.principal if is_id(asked.principal) else "",
        dataset=asked.dataset if is_id(asked.dataset) else "",
        supplier=supplier,
    )


def attributes_of(
    asked: Asked, principal: Principal, supplier: Supplier | None, dataset: Dataset, found: Candidate | None
) -> Attributes:
    """The slice for rows that are there. `supplier` is None for the organisation's own people."""
    base = Attributes(
        action=asked.action,
        time_us=asked.at_us,
        country=asked.country,
        purpose=asked.purpose,
        checked=True,
        known=True,
        principal=principal.id,
        principal_standing=_standing(principal, asked.at_us),
        supplier=principal.supplier,
        supplier_active=supplier is None or supplier.ended is None,
        supplier_unfrozen=supplier is None or not supplier.frozen_at(asked.at_us),
        dataset=dataset.id,
        dataset_classification=dataset.classification,
        dataset_active=dataset.ended is None,
        content_unlimited=asked.expires_us == 0,
        content_expires_us=asked.expires_us,
    )
    if found is None:
        return base
    grant, contract = found.grant, found.contract
    return msgspec.structs.replace(
        base,
        purpose=asked.purpose or grant.purpose,
        has_grant=True,
        grant=grant.id,
        grant_form=grant.form,
        grant_purpose=grant.purpose,
        grant_to=(principal.id,) if principal.id in grant.to else (),
        grant_to_all=not grant.to,
        grant_active=grant.ended is None,
        grant_lasting=grant.confirm is None or not grant.confirm.every_days,
        grant_confirmed_until_us=grant.confirm.until_us if grant.confirm else 0,
        contract=contract.id,
        contract_active=contract.ended is None,
        contract_starts_us=contract.starts_us or 1,  # 0 means "not known" in a slice
        contract_ends_us=contract.ends_us,
        contract_purposes=contract.purposes,
        contract_countries=contract.countries,
        contract_any_country=not contract.countries,
    )


def _standing(principal: Principal, at_us: int) -> str:
    if principal.ended:
        return "ended"
    return "suspended" if principal.suspended_at(at_us) else "active"


def check_belongs(
    principal: Principal, supplier: Supplier | None, dataset: Dataset, grants: Iterable[Grant]
) -> None:
    """The rows belong together as the question assumed. Raises `Corrupt` ("register-mismatch").

    1. The principal's supplier is there, unless it is one of the organisation's own people.
    2. Each grant is of this dataset and to this supplier.
    """
    if (supplier.id if supplier else "") != principal.supplier:  # 1
        raise mismatch(f"the supplier of principal {principal.id} is not there")
    for grant in grants:  # 2
        if grant.dataset != dataset.id or supplier is None or grant.supplier != supplier.id:
            raise mismatch(f"grant {grant.id} is not of dataset {dataset.id} to supplier {principal.supplier}")


def candidate(grant: Grant, contract: Contract | None) -> Candidate:
    """A grant with its contract. Raises `Corrupt` ("register-mismatch") when that is not there or another's."""
    if contract is None or contract.id != grant.contract or contract.supplier != grant.supplier:
        raise mismatch(f"the contract of grant {grant.id} is not there or not its supplier's")
    return Candidate(grant, contract)


def mismatch(what: str) -> Corrupt:
    """The error for rows that contradict each other."""
    return Corrupt("register-mismatch", "A row of the register does not match the others; it is not used.", what)


def most_promising(asked: Asked, grants: Iterable[Grant]) -> list[Grant]:
    """The grants that come closest to what is asked, by what the grants themselves say.

    It only says where to look first: what is left out lacks something that the grants returned have, and whether
    these allow anything is for the policies to say.
    """
    found: dict[tuple[bool, ...], list[Grant]] = {}
    for grant in grants:
        if asked.grant and grant.id != asked.grant:
            continue
        found.setdefault(_promise(asked, grant), []).append(grant)
    return found[max(found)] if found else []


def by_contract(asked: Asked, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Candidates, the most promising contract first; among equals the one that runs longest."""
    return sorted(candidates, key=lambda one: (*_contract_promise(asked, one), one.grant.id), reverse=True)


def _promise(asked: Asked, grant: Grant) -> tuple[bool, ...]:
    return (
        grant.ended is None,
        not grant.lapsed_at(asked.at_us),
        grant.form == ("lookup" if asked.action == "lookup" else "file"),
        not grant.to or asked.principal in grant.to,
        asked.purpose in ("", grant.purpose),
    )


def _contract_promise(asked: Asked, one: Candidate) -> tuple[bool, bool, bool, bool, int]:
    contract = one.contract
    return (
        contract.ended is None,
        contract.starts_us <= asked.at_us < contract.ends_us,
        (asked.purpose or one.grant.purpose) in contract.purposes,
        not contract.countries or asked.country in contract.countries,
        contract.ends_us,
    )
