"""Which shares and objects a client may see. A listing is data that leaves, so it is decided and recorded too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from keten.core.errors import Corrupt
from keten.exchange import entries
from keten.exchange.addresses import Addresses
from keten.exchange.objects import Objects
from keten.exchange.opening import Refusals, Stale
from keten.ledger.model import Draft
from keten.ledger.writing import Writing
from keten.policy.model import Allow
from keten.policy.service import Decisions
from keten.suppliers.model import Grant
from keten.vault.model import Object


class Visible(msgspec.Struct, frozen=True):
    """One grant that its recipient may see now, with what is in it."""

    grant: Grant
    label: str
    valid_until_us: int
    objects: tuple[Object, ...]


def visible(
    decisions: Decisions, objects: Objects, client: str, country: str, now_us: int
) -> tuple[tuple[Visible, ...], dict[str, str]]:
    """What a client may see, and refs for the entry. A damaged row hides what it belongs to; the rest stays visible."""
    found: list[Visible] = []
    refs: dict[str, str] = {}
    outcomes = [one for one in decisions.shares(client, country, now_us) if one.grant is not None]
    allowed = [one for one in outcomes if isinstance(one.decision, Allow)]
    labels = Counter(one.grant.label for one in allowed if one.grant)
    for outcome in allowed:
        grant, decision = outcome.grant, outcome.decision
        if grant is None or not isinstance(decision, Allow):
            continue
        refs = {"supplier": grant.supplier}
        try:
            present = objects.of(grant.dataset)
        except Corrupt:
            continue
        label = grant.label if labels[grant.label] == 1 else f"{grant.label}-{grant.id[:6]}"
        current = tuple(one for one in present if not one.expires_us or one.expires_us > now_us)
        found.append(Visible(grant, label, decision.valid_until_us, current))
    return tuple(sorted(found, key=lambda one: (one.label, one.grant.id))), refs


def listing(  # noqa: PLR0913  # what is recorded, each by its name
    client: str,
    shares: tuple[Visible, ...],
    refs: dict[str, str],
    *,
    country: str,
    channel: str,
    address: str,
    addresses: Addresses,
    holds: Callable[[], bool],
    refusals: Refusals | None = None,
) -> Callable[[Writing], int | None]:
    """Record a listing. `holds`: whether the register is still as it was when the listing was made, else `Stale`.

    refusals: given when what was asked for is not there: recorded as a refusal, or only counted (then None).
    """
    details: dict[str, object] = {
        "outcome": "allow",
        "shares": len(shares),
        "objects": sum(len(share.objects) for share in shares),
        "country": country,
        "channel": channel,
    }

    def run(writing: Writing) -> int | None:
        if not holds():
            raise Stale("stale", "List again.")
        if refusals is not None:
            if not refusals.admit(client, ("absent",), writing.time_us):
                return None
            details.update({"outcome": "deny", "reasons": ["absent"]})
        personal = addresses.seal(writing, client, address)
        return writing.record(Draft(entries.SHARES_LISTED, client, (client,), refs, details, personal))

    return run
