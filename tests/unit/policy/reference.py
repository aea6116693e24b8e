"""A second evaluator in plain Python, for differential tests only: the rules said again, in another way.

It shares no code with the policies. `None` means allowed; otherwise the set of reasons.
"""

from __future__ import annotations

from collections.abc import Callable

from keten.policy.model import Attributes

FOREVER_OVER = {"revoked"}

Rule = tuple[Callable[[Attributes], bool], set[str]]

# Said of what is asked, when everything it names is there.
ABOUT_THE_PARTIES: tuple[Rule, ...] = (
    (lambda a: a.principal_standing == "ended", FOREVER_OVER | {"client-ended"}),
    (lambda a: a.principal_standing == "suspended", {"suspended"}),
    (lambda a: a.principal_standing not in ("ended", "active", "suspended"), {"principal-blocked"}),
    (lambda a: not a.supplier_active, FOREVER_OVER | {"supplier-ended"}),
    (lambda a: not a.supplier_unfrozen, {"supplier-frozen"}),
    (lambda a: not a.dataset_active, FOREVER_OVER | {"dataset-ended"}),
    (lambda a: a.dataset_classification not in {"public", "internal", "confidential"}, {"classification-not-allowed"}),
    (lambda a: not (a.content_unlimited or a.content_expires_us > a.time_us), {"content-expired"}),
)
# Said of the grant and its contract.
ABOUT_THE_GRANT: tuple[Rule, ...] = (
    (lambda a: not (a.grant_active and a.contract_active), FOREVER_OVER),
    (lambda a: a.contract_starts_us == 0 or a.contract_starts_us > a.time_us, {"contract-not-started"}),
    (lambda a: a.contract_ends_us <= a.time_us, {"contract-ended"}),
    (lambda a: not (a.grant_lasting or a.grant_confirmed_until_us > a.time_us), {"not-confirmed"}),
    (
        lambda a: not a.purpose or a.purpose != a.grant_purpose or a.purpose not in a.contract_purposes,
        {"purpose-not-covered"},
    ),
    (lambda a: not a.grant_to_all and a.principal not in a.grant_to, {"not-addressed"}),
    (
        lambda a: (a.action == "open" and a.grant_form != "file")
        or (a.action == "list" and a.grant_form not in {"file", "lookup"}),
        {"form-not-file"},
    ),
    (lambda a: a.action == "lookup" and a.grant_form != "lookup", {"form-not-lookup"}),
    (lambda a: not a.contract_any_country and not a.country, {"country-unknown"}),
    (
        lambda a: not a.contract_any_country and bool(a.country) and a.country not in a.contract_countries,
        {"country-not-allowed"},
    ),
)


def refused(a: Attributes) -> set[str] | None:
    """The reasons for a refusal, or None when access is allowed."""
    if a.action not in ("open", "list", "lookup") or a.time_us <= 0:
        return {"policy-error"}
    reasons: set[str] = set()
    if not a.checked:
        reasons.add("register-mismatch")
    elif not a.known:
        reasons.add("absent")
    rules = (ABOUT_THE_PARTIES if a.known else ()) + (ABOUT_THE_GRANT if a.has_grant else ())
    for holds, codes in rules:
        if holds(a):
            reasons |= codes
    if not reasons and not a.has_grant:
        reasons.add("no-grant")
    return reasons or None


def valid_until(a: Attributes) -> int:
    """Until when an allowed slice stays allowed."""
    ends = [a.contract_ends_us]
    ends += [] if a.content_unlimited else [a.content_expires_us]
    ends += [] if a.grant_lasting else [a.grant_confirmed_until_us]
    return min(ends)
