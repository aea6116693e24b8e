"""The kinds of entry of datasets."""

from __future__ import annotations

from keten.identity.entries import CHANGED, DECLARED, ENDED
from keten.ledger.kinds import kind

DATASET_DECLARED = kind("datasets.dataset.declared", "A dataset was entered into the register.", DECLARED)
DATASET_CHANGED = kind("datasets.dataset.changed", "A dataset's owner, class or retention changed.", CHANGED)
DATASET_ENDED = kind("datasets.dataset.ended", "Access to a dataset ended, for good.", ENDED)
