"""Recording that a person of a supplier was told something about itself, before it is told."""

from __future__ import annotations

from keten.identity.service import Principal
from keten.keeper.trusted import Trusted
from keten.keeper.writer import sealed_in
from keten.ledger.kinds import Kind
from keten.ledger.model import Draft, Sealed


async def record_told(
    trusted: Trusted, epoch: int, principal: Principal, kind: Kind, details: dict[str, object], address: str
) -> Sealed:
    """The entry. Raises `Stale` when the register has changed since `epoch`: what is to be told may be of before."""
    draft = Draft(
        kind,
        principal.client_id,
        (principal.client_id,),
        {"supplier": principal.supplier},
        {**details, **trusted.addresses.place(address)},
    )
    index, batch = await trusted.writer.run(trusted.door.under(epoch, lambda writing: writing.record(draft)))
    return sealed_in(batch, index)
