"""The datasets' rows, for the rooms above."""

from __future__ import annotations

from keten.datasets import entries, tables
from keten.datasets.model import Dataset
from keten.identity.rows import EndableRows

datasets = EndableRows(
    "dataset",
    tables.datasets,
    Dataset,
    entries.DATASET_DECLARED,
    entries.DATASET_CHANGED,
    entries.DATASET_ENDED,
    lambda row: {"dataset": row.id},
)
