"""The public page `/ledger/`: what this log is, and how to become a witness of it. In English and Dutch."""

from __future__ import annotations

from collections.abc import Container
from html import escape

from keten.ledger.publish import WITNESSED
from keten.ledger.succession import PREDECESSORS

MAYBE = (WITNESSED, PREDECESSORS)
"""Files that a log has once it has witnesses, or goes on from another one."""

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "code{overflow-wrap:anywhere}pre{overflow-x:auto}"
)

_PAGE = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body>
<main>
<h1>{title}</h1>
<p>{about}</p>
<dl>
<dt>{origin_word}</dt><dd><code>{origin}</code></dd>
<dt>{key_word}</dt><dd><code>{key}</code></dd>
<dt>{files_word}</dt><dd>{files}, <code>tile/…</code></dd>
{before}</dl>
<h2>{become}</h2>
<p>{how}</p>
<pre><code>keten witness init DIR --name NAME
keten witness add DIR '{key}'
keten witness run DIR --listen 127.0.0.1:8090</code></pre>
<p>{then}</p>
<h2>{check}</h2>
<p>{keep}</p>
</main>
</body>
</html>
"""

_WORDS = {
    "en": {
        "title": "A transparency log",
        "about": "Everything that this organisation shares with suppliers is recorded in this log before it leaves. It "
        'is a tiled transparency log (<a href="https://c2sp.org/tlog-tiles">c2sp.org/tlog-tiles</a>); it holds ids and '
        "commitments, and nothing personal.",
        "origin_word": "Origin",
        "key_word": "Verifier key",
        "files_word": "Files",
        "before_word": "Goes on from",
        "before": "The logs before this one, each signing for the next: {file}. Whoever kept a checkpoint of one of "
        "them checks with it that this log begins with what it signed.",
        "become": "How to become a witness of this log",
        "how": "A witness cosigns each new head of the log, once it has verified that the log only grew "
        '(<a href="https://c2sp.org/tlog-witness">c2sp.org/tlog-witness</a>, <code>POST add-checkpoint</code>). Any '
        "program that speaks that will do. With Keten's own, on a machine that this organisation does not own:",
        "then": "Then give the organisation the key that <code>init</code> printed, and the address at which your "
        "witness is reached: it adds both to its policy. Compare the verifier key above with one that you got in "
        "another way.",
        "check": "How to check this log",
        "keep": "Keep the checkpoint of today. Whoever kept one can check at any later time that the log still begins "
        "with exactly what it signed: <code>keten ledger verify --against FILE</code>, or <code>keten-verify.py</code> "
        "on a copy.",
    },
    "nl": {
        "title": "Een openbaar logboek",
        "about": "Alles wat deze organisatie met leveranciers deelt, wordt in dit logboek vastgelegd voordat het de "
        'deur uit gaat. Het is een logboek volgens <a href="https://c2sp.org/tlog-tiles">c2sp.org/tlog-tiles</a>; '
        "er staan ids en vastleggingen in, en niets persoonlijks.",
        "origin_word": "Oorsprong",
        "key_word": "Controlesleutel",
        "files_word": "Bestanden",
        "before_word": "Gaat verder op",
        "before": "De logboeken hiervoor, die elk voor het volgende getekend hebben: {file}. Wie een controlepunt "
        "van een ervan bewaarde, gaat daarmee na dat dit logboek begint met wat daarin ondertekend is.",
        "become": "Getuige worden van dit logboek",
        "how": "Een getuige ondertekent elk nieuw hoofd van het logboek mee, nadat hij heeft gecontroleerd dat het "
        'logboek alleen gegroeid is (<a href="https://c2sp.org/tlog-witness">c2sp.org/tlog-witness</a>, <code>POST '
        "add-checkpoint</code>). Elk programma dat dat spreekt is goed. Met dat van Keten, op een machine van uzelf "
        "die niet van deze organisatie is:",
        "then": "Geef de organisatie daarna de sleutel die <code>init</code> toonde, en het adres waarop uw getuige te "
        "bereiken is: zij zet beide in haar beleid. Vergelijk de controlesleutel hierboven met een die u langs een "
        "andere weg kreeg.",
        "check": "Dit logboek controleren",
        "keep": "Bewaar het controlepunt van vandaag. Wie er een bewaarde, kan later altijd nagaan dat het logboek nog "
        "begint met precies wat daarin ondertekend is: <code>keten ledger verify --against BESTAND</code>, of "
        "<code>keten-verify.py</code> op een kopie.",
    },
}


def page(key: str, there: Container[str], *, dutch: bool) -> bytes:
    """The page for a log with this verifier key, as HTML. there: which of `MAYBE` there are; no other one is named."""
    language = "nl" if dutch else "en"
    words = _WORDS[language]
    named = ["checkpoint", *(name for name in (WITNESSED,) if name in there), "key.pub"]
    before = ""
    if PREDECESSORS in there:
        sentence = words["before"].format(file=_link(PREDECESSORS))
        before = f"<dt>{words['before_word']}</dt><dd>{sentence}</dd>\n"
    return _PAGE.format(
        language=language,
        style=_STYLE,
        origin=escape(key.partition("+")[0]),
        key=escape(key),
        files=", ".join(map(_link, named)),
        **words | {"before": before},
    ).encode()


def _link(name: str) -> str:
    return f'<a href="{name}">{name}</a>'
