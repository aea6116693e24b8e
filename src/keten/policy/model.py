"""What a decision looks at, and what it says."""

from __future__ import annotations

import msgspec


class Attributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything that one decision looks at; plain values, recorded with the access so that it can be replayed.

    Encoded as JSON this is, byte for byte, the context that Cedar gets (policies/schema.cedarschema).

    Every zero value means "not known", and what is not known is denied: an attribute that gets lost on its way
    never turns a refusal into access. That is why standing is said positively (`…_active`), why "no limit" is said
    with a flag of its own (`…_unlimited`, `…_any_country`, `…_to_all`), and why no default below allows anything.

    Times are microseconds since 1970 UTC. Ids are the random ids of the register's rows.
    """

    # What is asked. `purpose`: the purpose asked for, or else the purpose of the grant that was found.
    action: str = ""  # open, list, lookup
    time_us: int = 0
    country: str = ""  # ISO 3166 letters of where the request comes from
    purpose: str = ""

    # Whether every row of the register that was read holds against the ledger, or else (`mismatch`) which does not;
    # and whether principal, dataset and content are there.
    checked: bool = False
    mismatch: str = ""
    known: bool = False

    principal: str = ""
    principal_standing: str = ""  # active, suspended, ended, blocked
    supplier: str = ""
    supplier_active: bool = False
    supplier_unfrozen: bool = False

    dataset: str = ""
    dataset_classification: str = ""  # public, internal, confidential, secret
    dataset_active: bool = False
    content_unlimited: bool = False  # there is no end of retention to look at
    content_expires_us: int = 0

    # The one grant that was found, and its contract. `grant_to` is a slice: of the recipients that the grant names
    # (there can be thousands) only the principal, so it is empty when the principal is not among them.
    has_grant: bool = False
    grant: str = ""
    grant_form: str = ""  # file, release, lookup, intake
    grant_purpose: str = ""
    grant_to: tuple[str, ...] = ()
    grant_to_all: bool = False  # the grant names no recipients: everyone of the supplier
    grant_active: bool = False
    grant_lasting: bool = False  # nobody has to confirm it again and again
    grant_confirmed_until_us: int = 0  # exclusive
    contract: str = ""
    contract_active: bool = False
    contract_starts_us: int = 0
    contract_ends_us: int = 0  # exclusive: at this moment it has ended
    contract_purposes: tuple[str, ...] = ()
    contract_countries: tuple[str, ...] = ()
    contract_any_country: bool = False  # the contract names no countries


class Allow(msgspec.Struct, frozen=True, gc=False):
    """Yes, as long as the time is before `valid_until_us` (law 5). `policies`: ids of the permits that held."""

    valid_until_us: int
    policies: tuple[str, ...]


class Deny(msgspec.Struct, frozen=True, gc=False):
    """No. `reasons`: stable codes, the most telling first.

    `policies`: ids of the policies that forbade it or, where none did, of the permits that did not hold.
    `error`: for the operator, what went wrong where the reason is "policy-error".
    """

    reasons: tuple[str, ...]
    policies: tuple[str, ...] = ()
    error: str = ""


Decision = Allow | Deny
