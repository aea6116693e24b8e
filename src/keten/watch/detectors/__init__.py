"""The detectors, one file each; docs/formats/detectors.md says what each looks at, and its default."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from keten.watch.detectors.adjacency import Adjacency
from keten.watch.detectors.before_end import BeforeEnd
from keten.watch.detectors.budget_share import BudgetShare
from keten.watch.detectors.budget_spent import BudgetSpent
from keten.watch.detectors.bypass import Bypass
from keten.watch.detectors.countries import CountryNew
from keten.watch.detectors.detector import Detector
from keten.watch.detectors.dormant import Dormant
from keten.watch.detectors.everything import Everything
from keten.watch.detectors.failed_sign_ins import FailedSignIns
from keten.watch.detectors.keys import KeyNew
from keten.watch.detectors.low_and_slow import LowAndSlow
from keten.watch.detectors.misses import MissHeavy
from keten.watch.detectors.network_listed import NetworkListed
from keten.watch.detectors.networks import NetworkNew
from keten.watch.detectors.off_hours import OffHours
from keten.watch.detectors.outside import Outside
from keten.watch.detectors.places_at_once import PlacesAtOnce
from keten.watch.detectors.purposes import PurposeNew
from keten.watch.detectors.rate import Rate
from keten.watch.detectors.several import Several
from keten.watch.detectors.supplier_volume import SupplierVolume
from keten.watch.detectors.travel import Travel
from keten.watch.detectors.volume import Volume


def default(without: Collection[str] = ()) -> list[Detector[Any]]:
    """Every detector with its defaults, but those whose codes are named."""
    every: list[Detector[Any]] = [
        MissHeavy(),
        Adjacency(),
        Outside(),
        Volume(),
        SupplierVolume(),
        Rate(),
        CountryNew(),
        NetworkNew(),
        Travel(),
        PlacesAtOnce(),
        KeyNew(),
        Dormant(),
        OffHours(),
        FailedSignIns(),
        NetworkListed(),
        PurposeNew(),
        LowAndSlow(),
        Everything(),
        BeforeEnd(),
        BudgetShare(),
        BudgetSpent(),
        Bypass(),
        Several(),
    ]
    return [each for each in every if each.code not in without]
