"""A caller's network, as entries may say it: a pseudonym, and whether the organisation lists it as a bad one.

The pseudonym is a keyed hash of the /24 or /48 that the address is in. Only the keeper has the key, so nobody else can
tell a network by it, or try all of them; the same network always has the same pseudonym, so that it is known again.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from keten.core.errors import Invalid
from keten.identity.bad_networks import BadNetworks, Found, look
from keten.identity.strangers import OTHER, UNKNOWN, network_of

log = logging.getLogger(__name__)
MAX_CACHED = 65_536
PURPOSE = "networks"
_BYTES = 10  # 16 characters; two of a million networks share one with a probability of 4e-13
Place = Mapping[str, object]


class Networks:
    """What entries say of callers' networks.

    key: derived from the root key for `PURPOSE`. lists: files with bad networks. Safe between threads. Raises `Invalid`
    ("settings") for a list that can't be used.
    """

    def __init__(self, key: bytes, lists: Sequence[Path] = ()) -> None:
        self._key = key
        self._lists = tuple(lists)
        self._looked = look(self._lists)
        self._said = ""
        self._use(BadNetworks.read(self._lists))

    def _use(self, bad: BadNetworks) -> None:
        self._bad = bad
        self._known = lru_cache(MAX_CACHED)(self._find)

    def place(self, address: str) -> Place:
        """For an entry's details, not to be changed: `network`, and `listed` where it is; empty without an address."""
        return self._known(address)

    def pseudonym(self, network: str) -> str:
        """Of a network as `network_of` writes it; "" where it is none."""
        if network in (OTHER, UNKNOWN):
            return ""
        digest = hashlib.blake2b(network.encode(), key=self._key, digest_size=_BYTES).digest()
        return base64.b32encode(digest).decode("ascii").lower()

    def _find(self, address: str) -> Place:
        pseudonym = self.pseudonym(network_of(address))
        if not pseudonym:
            return {}
        return {"network": pseudonym, "listed": True} if self._bad.holds(address) else {"network": pseudonym}

    def refresh(self) -> None:
        """Read the lists again when a file changed. Where that can't be used it is logged, and what was read stays."""
        looked: Found = look(self._lists)
        if looked == self._looked:
            return
        try:
            bad = BadNetworks.read(self._lists)
        except Invalid as error:
            if str(error) != self._said:
                log.error("the list of bad networks is as it was: %s", error)  # noqa: TRY400  # it says all
            self._said = str(error)
            return
        self._looked, self._said = looked, ""
        self._use(bad)
        log.info("the list of bad networks was read again: %d networks", len(bad))
