"""What a dataset is."""

from __future__ import annotations

from keten.identity.model import EndableRow

CLASSIFICATIONS = ("public", "internal", "confidential", "secret")


class Dataset(EndableRow, frozen=True, kw_only=True):
    """Data with an owner (random id of one of the organisation's people) and one of `CLASSIFICATIONS`.

    retention_days: days that content is kept from the moment it was put in; 0: no end is set.
    """

    owner: str
    classification: str
    retention_days: int
