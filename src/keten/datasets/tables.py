"""Datasets, each row bound to its last entry."""

from __future__ import annotations

from keten.datasets.model import Dataset
from keten.ledger.bound import bound_table

datasets = bound_table("datasets", Dataset)
