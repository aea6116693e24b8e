"""Letters to people about their own accounts, in words: what happened, what to do, and what nobody will ever ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keten.keeper.letter_protocol import Letter, What

_NEVER = {
    "en": "Nobody of {organisation} will ever ask you for a code, or for a link in a letter like this, on the "
    "telephone or otherwise. Whoever does is trying to get in as you: hang up, and use the link above if there is one.",
    "nl": "Niemand van {organisation} vraagt u ooit om een code, of om een link uit een brief als deze, aan de "
    "telefoon of anders. Wie dat wel doet, probeert in uw naam binnen te komen: hang op, en gebruik de link hierboven "
    "als die er staat.",
}
_WHY: Mapping[str, Mapping[str, str]] = {
    "passkey-copied": {
        "en": "a passkey of yours answered with a count that it had passed before, so there may be a copy of it",
        "nl": "een passkey van u antwoordde met een telling die al voorbij was, dus er kan een kopie van zijn",
    },
    "passkey-ended": {
        "en": "somebody tried to sign in with a passkey of yours that was ended",
        "nl": "iemand probeerde zich aan te melden met een passkey van u die beëindigd is",
    },
    "session-elsewhere": {
        "en": "a session of yours was shown by another browser than the one that opened it (a browser that was updated "
        "meanwhile is another one, too)",
        "nl": "een sessie van u werd getoond door een andere browser dan die haar opende (een browser die intussen is "
        "bijgewerkt, geldt ook als een andere)",
    },
    "network-listed": {
        "en": "somebody signed in with a passkey of yours, or your account at work, from a network that is on a list "
        "of bad ones",
        "nl": "iemand meldde zich aan met een passkey van u, of uw account van het werk, vanaf een netwerk dat op een "
        "lijst van slechte staat",
    },
}
"""What was unusual, by `to_tell.UNUSUAL`."""
_NOT_YOU = {
    "en": "Was it not you, or do you not know? Sign in, look at your keys and sessions (your name, at the top), end "
    "what is not yours, and sign out everywhere else:\n\n{link}\n\nIf you cannot, tell {organisation} now, at a number "
    "that you know already.",
    "nl": "Was u dat niet, of weet u het niet? Meld u aan, bekijk uw sleutels en sessies (uw naam, bovenaan), beëindig "
    "wat niet van u is, en meld u overal elders af:\n\n{link}\n\nLukt dat niet, laat het {organisation} dan nu weten, "
    "op een nummer dat u al kende.",
}
_WORDS: Mapping[What, Mapping[str, tuple[str, str]]] = {
    "opened": {
        "en": (
            "Somebody asks to get into your account without its passkey",
            (
                "The helpdesk of {organisation} opened a recovery for {person}: somebody said to have lost the "
                "passkey. "
                "Two people have to approve it, and nothing is sent before {moment}.\n\n"
                "Was that you? Then there is nothing to do now. Parts of a code will come to two of your addresses.\n\n"
                "Was it not you? Stop it here; one press of a button is enough:\n\n{link}"
            ),
        ),
        "nl": (
            "Iemand wil in uw account zonder de passkey",
            (
                "De helpdesk van {organisation} heeft een herstel geopend voor {person}: iemand zei de passkey kwijt "
                "te "
                "zijn. Twee mensen moeten het goedkeuren, en vóór {moment} wordt er niets verstuurd.\n\n"
                "Was u dat? Dan hoeft u nu niets te doen. Er komen delen van een code op twee van uw adressen.\n\n"
                "Was u dat niet? Houd het hier tegen; één druk op de knop is genoeg:\n\n{link}"
            ),
        ),
    },
    "code": {
        "en": (
            "A part of your code",
            (
                "This is one of two parts of the code with which {person} makes a new passkey. The other one went to "
                "another address of yours. Both are needed, until {moment}.\n\n    {part}\n\n"
                "Open this page on the device that is to have the passkey, and type in both parts:\n\n{link}\n\n"
                "Tell this part to nobody, also not to the helpdesk."
            ),
        ),
        "nl": (
            "Een deel van uw code",
            (
                "Dit is een van de twee delen van de code waarmee {person} een nieuwe passkey maakt. Het andere deel "
                "ging "
                "naar een ander adres van u. Beide zijn nodig, tot {moment}.\n\n    {part}\n\n"
                "Open deze pagina op het apparaat dat de passkey krijgt, en vul beide delen in:\n\n{link}\n\n"
                "Geef dit deel aan niemand, ook niet aan de helpdesk."
            ),
        ),
    },
    "done": {
        "en": (
            "A new passkey was made for your account",
            (
                "{person} came back in at {organisation} with a new passkey. Until {moment} the account can do less "
                "than "
                "usual.\n\nWas that not you? Undo it here; one press of a button is enough:\n\n{link}"
            ),
        ),
        "nl": (
            "Er is een nieuwe passkey voor uw account gemaakt",
            (
                "{person} is bij {organisation} weer binnen met een nieuwe passkey. Tot {moment} kan het account "
                "minder "
                "dan anders.\n\nWas u dat niet? Maak het hier ongedaan; één druk op de knop is genoeg:\n\n{link}"
            ),
        ),
    },
    "asked": {
        "en": (
            "A recovery waits for your approval",
            (
                "Somebody said to have lost the passkey of {person}, and the helpdesk of {organisation} opened a "
                "recovery. You are one of those who may approve it: sign in, and look under Recoveries.\n\n{link}\n\n"
                "Approve only if you saw {person}, or called {person} yourself at a number that you knew already. "
                "Did somebody call you to have it approved? Then do not."
            ),
        ),
        "nl": (
            "Een herstel wacht op uw goedkeuring",
            (
                "Iemand zei de passkey van {person} kwijt te zijn, en de helpdesk van {organisation} heeft een herstel "
                "geopend. U bent een van degenen die het mogen goedkeuren: meld u aan, en kijk bij Herstel."
                "\n\n{link}\n\n"
                "Keur alleen goed als u {person} hebt gezien, of zelf hebt gebeld op een nummer dat u al kende. "
                "Belde iemand u om het goed te keuren? Doe het dan niet."
            ),
        ),
    },
    "changed": {
        "en": (
            "Your addresses were changed",
            (
                "The addresses at which {organisation} reaches {person} were changed. Codes go to new addresses only "
                "after a month; what happens is told to the former ones too.\n\nIs that not right? Tell {organisation} "
                "now, at a number that you know already."
            ),
        ),
        "nl": (
            "Uw adressen zijn gewijzigd",
            (
                "De adressen waarop {organisation} {person} bereikt, zijn gewijzigd. Codes gaan pas na een maand naar "
                "nieuwe adressen; wat er gebeurt, wordt ook aan de vorige verteld.\n\nKlopt dat niet? Laat het "
                "{organisation} nu weten, op een nummer dat u al kende."
            ),
        ),
    },
    "key-added": {
        "en": (
            "A passkey was added to your account",
            "Since {moment} one more passkey signs in as {person} at {organisation}.\n\n" + _NOT_YOU["en"],
        ),
        "nl": (
            "Er is een passkey aan uw account toegevoegd",
            "Sinds {moment} meldt één passkey meer zich bij {organisation} aan als {person}.\n\n" + _NOT_YOU["nl"],
        ),
    },
    "key-ended": {
        "en": (
            "A passkey of your account was ended",
            "At {moment} a passkey of {person} at {organisation} was ended; nobody can sign in with it any more.\n\n"
            + _NOT_YOU["en"],
        ),
        "nl": (
            "Een passkey van uw account is beëindigd",
            "Op {moment} is een passkey van {person} bij {organisation} beëindigd; niemand kan zich er nog mee "
            "aanmelden.\n\n" + _NOT_YOU["nl"],
        ),
    },
    "unusual": {
        "en": (
            "Something unusual about your account",
            "About the account of {person} at {organisation}, at {moment}: {why}.\n\n" + _NOT_YOU["en"],
        ),
        "nl": (
            "Iets ongewoons met uw account",
            "Over het account van {person} bij {organisation}, op {moment}: {why}.\n\n" + _NOT_YOU["nl"],
        ),
    },
    "rights": {
        "en": (
            "Rights wait for you to confirm them",
            (
                "Rights at {organisation} that {person} may confirm lapse within thirty days, or have lapsed. Confirm "
                "those that are still needed, and end the others; what nobody confirms gives no access any more. Sign "
                "in, and choose Rights to confirm:\n\n{link}"
            ),
        ),
        "nl": (
            "Er wachten rechten op uw bevestiging",
            (
                "Rechten bij {organisation} die {person} mag bevestigen, vervallen binnen dertig dagen of zijn "
                "vervallen. Bevestig wat nog nodig is, en beëindig de rest; wat niemand bevestigt, geeft geen toegang "
                "meer. Meld u aan, en kies Te bevestigen rechten:\n\n{link}"
            ),
        ),
    },
}


def message_of(letter: Letter, sender: str, language: str) -> EmailMessage:
    """The mail. Its Message-ID is made of the letter's uid: the same when it is sent again."""
    subject, text = _WORDS[letter.what][language]
    values = {
        "organisation": letter.organisation,
        "person": letter.person,
        "moment": moment(letter.moment_us, letter.zone),
        "link": letter.link,
        "part": letter.part,
        "why": _WHY[letter.why][language] if letter.why else "",
    }
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"[Keten] {subject}"
    message["From"] = sender
    message["To"] = letter.to
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{letter.uid}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers from holiday notices
    # By name, and once: what the register calls somebody is never read as words to be filled in.
    message.set_content("\n\n".join((text.format_map(values), _NEVER[language].format_map(values))) + "\n")
    return message


def moment(at_us: int, zone: str) -> str:
    """A moment with its zone, as `2026-12-01 09:30 CET`."""
    try:
        there = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        there = ZoneInfo("UTC")
    return f"{datetime.fromtimestamp(at_us / 1_000_000, there):%Y-%m-%d %H:%M %Z}"
