"""What the overview's values are called: states, outcomes, endings, and what each concern means and asks for."""

from __future__ import annotations

import msgspec

from keten.console.model import Access, Concern, Ending, Look, Mismatch, Share
from keten.pages.words import N_, Words
from keten.suppliers.service import NOT_IN_ESTATE

STATES = {
    "open": N_("Open"),
    "waiting": N_("Not yet"),
    "closed": N_("Closed"),
    "unknown": N_("Unknown, so refused"),
}
CLASSES = {
    "public": N_("public"),
    "internal": N_("internal"),
    "confidential": N_("confidential"),
    "secret": N_("secret"),
}
TIERS = {
    "low": N_("low importance"),
    "medium": N_("medium importance"),
    "high": N_("high importance"),
    "critical": N_("critical"),
}
FORMS = {
    "file": N_("whole files"),
    "release": N_("own copy"),
    "lookup": N_("one record at a time"),
    "intake": N_("delivery to us"),
}
WINDOWS = {
    "hour": N_("at most %(count)s records an hour for each system"),
    "day": N_("at most %(count)s records a day for each system"),
    "week": N_("at most %(count)s records a week for each system"),
    "month": N_("at most %(count)s records a month for each system"),
}
ROWS = {
    "supplier": N_("Supplier"),
    "contract": N_("Contract"),
    "grant": N_("Grant"),
    "dataset": N_("Dataset"),
    "client": N_("System account"),
    "person": N_("Person"),
    "system": N_("System"),
    "transfer": N_("Transfer"),
    "object": N_("File"),
}
ROLES = {
    "administrator": N_("administrator"),
    "security-officer": N_("security officer"),
    "privacy-officer": N_("privacy officer"),
    "supplier-manager": N_("supplier manager"),
    "data-owner": N_("data owner"),
    "helpdesk": N_("helpdesk"),
    "auditor": N_("auditor"),
    "contact": N_("contact"),
    "member": N_("member"),
}
OUTCOMES = {
    "under-way": N_("Under way"),
    "complete": N_("Delivered"),
    "stopped": N_("Stopped by the recipient"),
    "cut": N_("Cut"),
    "failed": N_("Failed on our side"),
    "unknown": N_("Not known: a process was killed"),
    "refused": N_("Refused"),
}
TONES = {
    "open": "open",
    "waiting": "calm",
    "closed": "calm",
    "unknown": "grave",
    "under-way": "calm",
    "complete": "open",
    "stopped": "calm",
    "cut": "warn",
    "failed": "grave",
    "refused": "warn",
}

VERIFY, UP = "keten ledger verify", "keten up"
_KEEP = N_("Stop everything, keep a copy of the whole instance, and look at what does not hold:")

# Code of a concern: what is wrong, what to do about it, and the command to do it with.
CONCERNS: dict[str, tuple[str, str, str]] = {
    "restore-unconfirmed": (
        N_("This instance was restored from a backup at %(since)s, and nobody has looked yet. It serves nobody."),
        N_("End what must not be live, then let it serve:"),
        "keten restore --confirm",
    ),
    "entries-damaged": (
        N_("Entries of the ledger are damaged: %(indexes)s. What they recorded is not counted here."),
        _KEEP,
        VERIFY,
    ),
    "head-faults": (N_("The signed head of the ledger does not hold."), _KEEP, VERIFY),
    "look-failed": (N_("The ledger could not be verified here."), N_("Verify it by hand:"), VERIFY),
    "witness-disagrees": (
        N_("Witnesses say that this ledger was forked or set back: %(witnesses)s."),
        _KEEP,
        VERIFY,
    ),
    "outside-late": (
        N_("Nobody outside has signed what was recorded since %(since)s."),
        N_("Look at what the witnesses say:"),
        "keten status",
    ),
    "rights-unconfirmed": (
        N_("Rights that lapse within a week, or have lapsed, because nobody has confirmed them yet: %(count)s."),
        N_("Those who may do it find them under Rights to confirm; or:"),
        "keten confirm list",
    ),
    "clock-jumped": (
        N_("The clock of the machine jumped. Nothing is served until someone has looked at it."),
        N_("Set the clock right, then:"),
        "keten doctor --accept-clock",
    ),
    "clock-behind": (
        N_("The clock of this machine is behind the newest entry of the ledger, of %(newest)s."),
        N_("Set the clock right."),
        "",
    ),
    "keeper-stopped": (N_("The keeper does not run. Nobody can fetch anything now."), N_("Start it:"), UP),
    "key-bare": (
        N_("The keeper's key is not sealed: whoever can read its folder can read everything."),
        N_("Fine to try things out. For real data, make the instance with:"),
        "keten init --passphrase-file",
    ),
    "key-unknown": (
        N_("How the keeper's key is kept is not known: it never started."),
        N_("Start it:"),
        UP,
    ),
    "disk-low": (
        N_("The disk is nearly full: %(bytes)s left. Without room nothing can be recorded, and so nothing is served."),
        N_("Free some room."),
        "",
    ),
    "disk-unknown": (N_("How full the disk is could not be seen."), N_("Look at the folder of the instance."), ""),
    "no-geo": (
        N_("Contracts name countries, but the country of no address is known, so everyone is refused."),
        N_("Set [geo] in keten.toml."),
        "",
    ),
    "backup-none": (
        N_("There is no backup of this instance: what its disk loses is lost."),
        N_("Make one, on another disk, for whoever keeps the key to it:"),
        "keten backup DIR --to RECIPIENT",
    ),
    "backup-old": (
        N_("The newest backup is more than a week old, of %(since)s."),
        N_("Make a new one:"),
        "keten backup DIR",
    ),
    "backup-plain": (
        N_("A backup is not encrypted: whoever has it reads everything."),
        N_("Say who can open backups, with recipients under [backup] in keten.toml; destroy the plain one, and then:"),
        "keten backup --forget ID",
    ),
    "gateway-none": (
        N_("No gateway is connected to the keeper: suppliers reach nothing."),
        N_("Start it, or look at why it does not come up:"),
        "keten status",
    ),
    "worker-stopped": (
        N_("The worker does not run: nobody watches, and nothing is sent to anybody."),
        N_("Start it:"),
        UP,
    ),
    "watch-behind": (
        N_("The watch has yet to look at %(entries)s entries."),
        N_("It catches up by itself; if the number grows, the machine is too slow:"),
        "keten doctor",
    ),
    "keeper-notes": (N_("The keeper has something to say."), N_("Look at:"), "keten status"),
    "outside-nobody": (
        N_("Nobody outside is asked to sign the ledger, so whoever owns this machine could write another one."),
        N_("Name witnesses or a time-stamping authority, under [witnesses] or [timestamps] in keten.toml."),
        "",
    ),
    "export-failing": (
        N_("Nothing reaches the destination %(name)s since %(since)s. What it misses is sent when it can be reached."),
        N_("Look at what it says, and try it:"),
        "keten export test",
    ),
    "export-gap": (
        N_("%(left_out)s events were left out for the destination %(name)s, for it was too slow."),
        N_("Send them after all:"),
        "keten export replay",
    ),
    "export-not-seen": (
        N_("How it stands with the destination %(name)s cannot be seen by the console's user."),
        N_("Look as the user of the worker:"),
        "keten export status",
    ),
    "watch-off": (
        N_("The watch is switched off: nobody looks at what goes out."),
        N_("Set enabled = true under [watch] in keten.toml."),
        "",
    ),
    "console-open": (
        N_("The console can be reached over the network, at %(bind)s."),
        N_("Let only the organisation's own network reach it, or bind it to 127.0.0.1."),
        "",
    ),
}
TABLES = {
    "organisation": N_("Organisation"),
    "suppliers": N_("Supplier"),
    "contracts": N_("Contract"),
    "grants": N_("Grant"),
    "systems": N_("System"),
    "datasets": N_("Dataset"),
    "clients": N_("System account"),
    "people": N_("Person"),
    "objects": N_("File"),
}


class Attention(msgspec.Struct, frozen=True):
    """A concern in words. details: what it is about, and what the ledger's checks say of it, in English."""

    grave: bool
    text: str
    advice: str
    command: str
    details: tuple[tuple[str, str], ...]


def window(words: Words, share: Share) -> str:
    """A grant's budget; "" without one."""
    text = WINDOWS.get(share.budget_per)
    return words.gettext(text) % {"count": words.number(share.budget_records)} if text and share.budget_records else ""


def outcome(words: Words, access: Access) -> str:
    """How an access ended, in a word or two."""
    text = words.gettext(OUTCOMES[access.progress])
    if access.count > 1:
        text += " " + words.gettext("(%(count)s times)") % {"count": words.number(access.count)}
    return text


def much(words: Words, access: Access) -> str:
    """How much of what was asked for was sent."""
    if access.progress == "refused":
        return words.gettext("nothing")
    if access.sent is None and access.at_most is not None:
        bounds = {"least": words.size(access.at_least or 0), "most": words.size(access.at_most)}
        return words.gettext("%(least)s to %(most)s") % bounds
    if access.sent is None:
        return words.gettext("up to %(most)s") % {"most": words.size(access.asked or 0)}
    if access.asked is None or access.sent >= access.asked:
        return words.size(access.sent)
    return words.gettext("%(sent)s of %(asked)s") % {"sent": words.size(access.sent), "asked": words.size(access.asked)}


def actor(words: Words, who: str) -> str:
    """Who did something, as an entry names it."""
    if who.startswith("operator:"):
        return words.gettext("operator %(name)s") % {"name": who.removeprefix("operator:")}
    return words.gettext("Keten itself") if who == "keeper" else who


def ending(words: Words, one: Ending) -> str:
    """How something ended."""
    if one.how == "expired":
        return words.gettext("Ended by itself, as agreed")
    if one.how == "destroyed":
        return words.reason(one.reason)
    if one.how == "cut":
        sent = words.size(one.sent) if one.sent is not None else words.gettext("an unknown number of bytes")
        return words.gettext("Cut after %(sent)s. %(why)s") % {"sent": sent, "why": words.reason(one.reason)}
    why = words.gettext("it was left out of the estate file") if one.reason == NOT_IN_ESTATE else one.reason
    return words.gettext("Ended by %(who)s: %(why)s") % {"who": actor(words, one.by), "why": why}


def concern(words: Words, one: Concern) -> Attention:
    """What is wrong, and what to do."""
    about = {name: _shown(words, name, value) for name, value in one.about.items()}
    text, advice, command = _sentences(words, one)
    rows = tuple(_row(words, row) for row in one.rows)
    return Attention(one.grave, text % about, advice, command, rows + tuple(("", line) for line in one.details))


def _sentences(words: Words, one: Concern) -> tuple[str, str, str]:
    if one.code in CONCERNS:
        text, advice, command = CONCERNS[one.code]
        return words.gettext(text), words.gettext(advice), command
    count = int(one.about["count"])
    if one.code == "rows-mismatch":
        text = words.ngettext(
            "%(count)s row of the register is not what the ledger says. It is not used: what hangs on it is refused.",
            "%(count)s rows of the register are not what the ledger says. They are not used: what hangs on them is "
            "refused.",
            count,
        )
        return text, words.gettext("Someone changed the database. Keep a copy of it, and look at all of it:"), VERIFY
    if one.code == "look-faults":
        text = words.ngettext(
            "The last verification found %(count)s thing that does not hold.",
            "The last verification found %(count)s things that do not hold.",
            count,
        )
        return text, words.gettext(_KEEP), VERIFY
    text = words.ngettext(
        "%(count)s entry is not in the public ledger yet, though it is more than a minute old.",
        "%(count)s entries are not in the public ledger yet, though they are more than a minute old.",
        count,
    )
    return text, words.gettext("Look at what the keeper says:"), "keten status"


def _row(words: Words, row: Mismatch) -> tuple[str, str]:
    word = words.gettext(TABLES.get(row.table, row.table))
    return f"{word} {row.name or '?'} ({row.row})", row.what


def _shown(words: Words, name: str, value: str | int) -> str:
    if isinstance(value, str):
        return value
    return words.size(value) if name == "bytes" else words.number(value)


def role(words: Words, name: str) -> str:
    """A role in words; one that is not known as it is."""
    return words.gettext(ROLES[name]) if name in ROLES else name


def look(words: Words, one: Look | None) -> tuple[str, str]:
    """What the console's own verification found, in a few words, and its tone."""
    if one is None:
        return words.gettext("Not verified yet"), "calm"
    if one.failed:
        return words.gettext("Could not be verified"), "grave"
    if one.count:
        return words.gettext("Does not hold"), "grave"
    return words.gettext("Holds"), "open"
