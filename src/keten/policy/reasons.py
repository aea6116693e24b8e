"""The reasons for which this room refuses, in a fixed order: the most telling first.

The codes are stable (docs/formats/reasons.md lists them with those of other rooms); a code is never reused.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Reason(msgspec.Struct, frozen=True):
    """What a reason code says, as a sentence in English and in Dutch."""

    en: str
    nl: str


# The order is part of the answer: a refusal names its reasons in it.
REASONS: dict[str, Reason] = {
    "register-mismatch": Reason(
        "A row of the register does not match the ledger.",
        "Een rij van het register klopt niet met het logboek.",
    ),
    "policy-error": Reason(
        "The policies could not be evaluated, so the answer is no.",
        "De beleidsregels konden niet worden uitgevoerd; dan is het antwoord nee.",
    ),
    "absent": Reason(
        "There is nothing under this id.",
        "Onder deze id is er niets.",
    ),
    "revoked": Reason(
        "Access was revoked.",
        "De toegang is ingetrokken.",
    ),
    "supplier-ended": Reason(
        "The supplier has been ended.",
        "De leverancier is beëindigd.",
    ),
    "client-ended": Reason(
        "The person or system has been ended.",
        "De persoon of het systeemaccount is beëindigd.",
    ),
    "suspended": Reason(
        "The person or system is suspended for a while.",
        "De persoon of het systeemaccount is voor een tijd opgeschort.",
    ),
    "supplier-frozen": Reason(
        "The supplier is frozen for a while.",
        "De leverancier is voor een tijd bevroren.",
    ),
    "principal-blocked": Reason(
        "The person or system is blocked, or its standing is not known.",
        "De persoon of het systeemaccount is geblokkeerd, of de status ervan is onbekend.",
    ),
    "dataset-ended": Reason(
        "The dataset has been ended.",
        "De gegevensset is beëindigd.",
    ),
    "contract-ended": Reason(
        "The contract has ended.",
        "De verwerkersovereenkomst is afgelopen.",
    ),
    "contract-not-started": Reason(
        "The contract has not started.",
        "De verwerkersovereenkomst is nog niet ingegaan.",
    ),
    "not-confirmed": Reason(
        "Nobody has confirmed in time that this access is still needed.",
        "Niemand heeft op tijd bevestigd dat deze toegang nog nodig is.",
    ),
    "no-grant": Reason(
        "There is no grant for this.",
        "Er is hiervoor geen toekenning.",
    ),
    "not-addressed": Reason(
        "The grant is addressed to others.",
        "De toekenning is aan anderen gericht.",
    ),
    "purpose-not-covered": Reason(
        "The purpose is not the grant's, or the contract does not name it.",
        "Het doel is niet dat van de toekenning, of staat niet in de verwerkersovereenkomst.",
    ),
    "form-not-file": Reason(
        "The grant is not for whole files.",
        "De toekenning geldt niet voor hele bestanden.",
    ),
    "form-not-lookup": Reason(
        "The grant is not for lookups.",
        "De toekenning geldt niet voor bevragingen.",
    ),
    "classification-not-allowed": Reason(
        "Data of this classification is not shared as a file.",
        "Gegevens met deze classificatie worden niet als bestand gedeeld.",
    ),
    "country-not-allowed": Reason(
        "The contract does not name the country that the request comes from.",
        "Het land waar het verzoek vandaan komt, staat niet in de verwerkersovereenkomst.",
    ),
    "country-unknown": Reason(
        "The contract names countries, and the country of the request is not known.",
        "De verwerkersovereenkomst noemt landen, en het land van het verzoek is onbekend.",
    ),
    "content-expired": Reason(
        "The retention of this content has ended.",
        "De bewaartermijn van deze inhoud is voorbij.",
    ),
}

_ORDER = {code: place for place, code in enumerate(REASONS)}


def in_order(codes: Iterable[str]) -> tuple[str, ...]:
    """Each code once, the most telling first. `KeyError` for a code that is not of this room."""
    return tuple(sorted(set(codes), key=_ORDER.__getitem__))
