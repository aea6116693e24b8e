"""Where a caller came from is personal: it goes into an entry sealed under the client's own key (law 7).

Beside it, in the clear, stands what says nothing to anybody but the keeper: a pseudonym of the network.
"""

from __future__ import annotations

from collections import OrderedDict

from keten.identity.networks import Networks, Place
from keten.ledger.writing import Writing
from keten.vault import personal
from keten.vault.keys import Keys

MAX_CACHED = 20_000


class Addresses:
    """Seals callers' addresses, within the writer's transaction. Keys that are durable are kept, to spare a look-up."""

    def __init__(self, keys: Keys, networks: Networks) -> None:
        self._keys = keys
        self._networks = networks
        self._wrapped: OrderedDict[str, bytes] = OrderedDict()

    def seal(self, writing: Writing, client: str, address: str) -> dict[str, str]:
        """The personal part of an entry: client → sealed address."""
        if not address:
            return {}
        wrapped = self._wrapped.get(client)
        if wrapped is None:
            wrapped = personal.subject_key(writing.connection, client)
            if wrapped is None:
                if personal.subject_erased(writing.connection, client):
                    return {}  # it is refused, and nothing personal of it is kept any more
                return {client: personal.seal_for(writing, self._keys, client, address.encode())}
            self._wrapped[client] = wrapped
            if len(self._wrapped) > MAX_CACHED:
                self._wrapped.popitem(last=False)
        return {client: self._keys.seal(client, wrapped, address.encode())}

    def place(self, address: str) -> Place:
        """For the details of an entry: `network` and `listed`, as `Networks` says them."""
        return self._networks.place(address)

    def forget(self) -> None:
        """The register changed: a key may be gone."""
        self._wrapped.clear()

    def commit(self) -> None:
        """The transaction is durable, and so are the keys made in it."""

    def rollback(self) -> None:
        """The transaction did not happen: a key that was made and read in it is no key."""
        self._wrapped.clear()
