"""What carrying out something that takes two people does, in the reader's language: what goes, what stays, and why."""

from __future__ import annotations

import msgspec

from keten.console.phrases import PHRASES, phrase
from keten.keeper.protocol import Destroyed
from keten.keeper.subject_protocol import Plan
from keten.pages.words import N_, Words

HEADINGS = {
    "erase": N_("Erase what is known of %(name)s"),
    "release": N_("Release the legal hold %(name)s"),
    "read": N_("Read where %(name)s called from"),
    "destroy-dataset": N_("Destroy the dataset %(name)s"),
    "destroy-object": N_("Destroy the file %(name)s"),
    "destroy-contract": N_("End the contract %(name)s and destroy what it alone covers"),
}
"""By what is asked for."""
_PARTS = {
    "key": N_("Its key: what is sealed under it cannot be opened any more"),
    "row": N_("What its row in the register says; the row stays, ended and without that"),
    "passkey": N_("Passkeys"),
    "link": N_("One-time links"),
    "channel": N_("Ways to reach the person"),
    "hold": N_("The legal hold: from then on nothing keeps what it is on"),
    "addresses": N_("For an hour, operators may read the network addresses from which it called, all of them"),
    "file": N_("The file: its key and its content"),
    "files": N_("Files with their keys and content"),
}
_BEYOND = {
    "copies that suppliers fetched are theirs: the contract obliges them, Keten can't reach them": N_(
        "Copies that suppliers fetched are theirs: the contract obliges them, Keten cannot reach them"
    ),
    "copies that somebody made of the instance or of a backup without Keten, such as snapshots of a disk": N_(
        "Copies that somebody made of the instance or of a backup without Keten, such as snapshots of a disk"
    ),
    "people inside the content of files: destroy the object or dataset (keten destroy)": N_(
        "People inside the content of files: destroy the file or dataset for that"
    ),
    "free blocks of the disk below the file system: only an encrypted disk protects those": N_(
        "Free blocks of the disk below the file system: only an encrypted disk protects those"
    ),
}


class Effects(msgspec.Struct, frozen=True):
    """What it does, one by one. unreached: what nobody here can erase; said: what of it has the keeper's words only."""

    goes: tuple[str, ...]
    stays: tuple[str, ...]
    unreached: tuple[str, ...]
    said: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """For the page on which it is confirmed."""
        return (*self.goes, *self.stays)


def heading(words: Words, what: str, name: str) -> str:
    """What is asked for."""
    return words.gettext(HEADINGS[what]) % {"name": name} if what in HEADINGS else name


def effects(words: Words, what: str, plan: Plan) -> Effects:
    """Of a request."""
    goes = [_part(words, one.what, one.count) for one in plan.erased]
    if what == "erase":
        kept = sum(one.count for one in plan.kept if one.what != "leaf")
        leaves = sum(one.count for one in plan.kept if one.what == "leaf")
        stays = [
            words.ngettext(
                "%(count)s entry stays: the organisation's own evidence, in which at most the random id is left",
                "%(count)s entries stay: the organisation's own evidence, in which at most the random id is left",
                kept,
            )
            % {"count": words.number(kept)},
            words.ngettext(
                "Of %(count)s entry the random id and the commitment stay, so that every proof still holds",
                "Of %(count)s entries the random id and the commitment stay, so that every proof still holds",
                leaves,
            )
            % {"count": words.number(leaves)},
        ]
    else:
        stays = [_stays(words, one.why) for one in plan.kept]
    known = tuple(words.gettext(_BEYOND[one]) for one in plan.unreached if one in _BEYOND)
    return Effects(tuple(goes), tuple(stays), known, tuple(one for one in plan.unreached if one not in _BEYOND))


def destroyed(words: Words, planned: Destroyed) -> Effects:
    """Of a dataset that somebody would destroy."""
    goes = (_part(words, "files", planned.objects), words.gettext("Nothing of it can be shared again."))
    return Effects(goes, (), (words.gettext(_BEYOND[next(iter(_BEYOND))]),))


def _part(words: Words, what: str, count: int) -> str:
    if what.startswith("dataset "):
        name = what.partition(" ")[2]
        return words.gettext("Dataset %(name)s: %(count)s") % {"name": name, "count": words.number(count)}
    if what in PHRASES:
        text = phrase(words, what)
        return words.gettext("What these entries say: %(what)s (%(count)s)") % {
            "what": text,
            "count": words.number(count),
        }
    text = words.gettext(_PARTS[what]) if what in _PARTS else what
    return f"{text} ({words.number(count)})" if count > 1 or what == "files" else text


def _stays(words: Words, why: str) -> str:
    return words.gettext("It stays: %(what)s") % {"what": why}
