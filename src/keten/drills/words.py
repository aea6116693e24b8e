"""What the drills of lookups say, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LANGUAGES = ("en", "nl")

STEPS: Mapping[str, Mapping[str, str]] = {
    "start": {
        "en": "An instance with a register of {people} people, {clients} systems of a partner, and a syslog server …",
        "nl": "Een instantie met een register van {people} mensen, {clients} systemen van een partner, en een "
        "syslogserver …",
    },
    "acquaint": {
        "en": "The watch learns four weeks of ordinary work of these systems, made up …",
        "nl": "De bewaking leert vier weken gewoon werk van deze systemen, verzonnen …",
    },
    "one": {
        "en": "One stolen login, at the pace of 2024 …",
        "nl": "Eén gestolen aanmelding, in het tempo van 2024 …",
    },
    "fast": {
        "en": "One stolen login, as fast as it can …",
        "nl": "Eén gestolen aanmelding, zo snel als het kan …",
    },
    "ten": {
        "en": "{stolen} stolen logins together; keeper and gateway are killed meanwhile …",
        "nl": "{stolen} gestolen aanmeldingen samen; keeper en gateway worden intussen afgeschoten …",
    },
    "patient": {
        "en": "Four weeks of a patient thief, made of his real lookups …",
        "nl": "Vier weken van een geduldige dief, gemaakt van zijn echte opvragingen …",
    },
    "ledger": {"en": "What the ledger says …", "nl": "Wat het logboek zegt …"},
    "ids": {"en": "Ids are guessed …", "nl": "Er wordt naar ids geraden …"},
    "guess": {
        "en": "Keys are guessed, {misses} % of them wrong …",
        "nl": "Er wordt naar sleutels geraden, {misses} % is fout …",
    },
}

_ALERT: Mapping[str, str] = {
    "en": "first alert after {before_alert} people and {alert_seconds} s, at the syslog server after {siem_seconds} s",
    "nl": "eerste melding na {before_alert} mensen en {alert_seconds} s, bij de syslogserver na {siem_seconds} s",
}
_NO_ALERT: Mapping[str, str] = {"en": "no alert", "nl": "geen melding"}

_ONE_EN = (
    "{records} people of {people} ({share}) in {seconds} s, {share_of_28} of what the budget gives in 28 days; "
    "{alert}; what was done: {response}; refused: {refused}"
)
_ONE_NL = (
    "{records} mensen van {people} ({share}) in {seconds} s, {share_of_28} van wat het budget in 28 dagen geeft; "
    "{alert}; wat er gebeurde: {response}; geweigerd: {refused}"
)
_TEN_EN = (
    "{records} people, the most by one {most}, in {seconds} s; the partner has {partner} of {supplier_budget}; "
    "{alert}; suspended: {suspended} of {stolen}, {limited} more were to be, past the limit on what the watch may "
    "stop by itself; refused: {refused}"
)
_TEN_NL = (
    "{records} mensen, het meest door één {most}, in {seconds} s; de partner heeft {partner} van {supplier_budget}; "
    "{alert}; geschorst: {suspended} van {stolen}, nog {limited} hadden het moeten zijn, boven de grens van wat de "
    "bewaking zelf mag stoppen; geweigerd: {refused}"
)
_HONEST_EN = (
    "{served} of {asked} lookups served, in {median_ms} ms (median), the slowest in {slowest_ms} ms; "
    "told of: {told}; suspended: {suspended}; refused: {refused}"
)
_HONEST_NL = (
    "{served} van {asked} opvragingen bediend, in {median_ms} ms (mediaan), de traagste in {slowest_ms} ms; "
    "gemeld: {told}; geschorst: {suspended}; geweigerd: {refused}"
)
_PATIENT_EN = (
    "{done} real lookups beside the others, {told} alerts. At his best {out} people in {days} days, {a_day} a day, "
    "{share_there} of {there}; first alert, for somebody to look at, after {before_best} people on day {alert_day}; "
    "stopped by the watch itself: {stopped}"
)
_PATIENT_NL = (
    "{done} echte opvragingen naast de anderen, {told} meldingen. Op zijn best {out} mensen in {days} dagen, {a_day} "
    "per dag, {share_there} van {there}; eerste melding, om naar te kijken, na {before_best} mensen op dag "
    "{alert_day}; door de bewaking zelf gestopt: {stopped}"
)
_SIEM_EN = "{arrived} of {alerts} alerts came, the slowest {slowest_seconds} s after its entry; {events} events in all"
_SIEM_NL = (
    "{arrived} van {alerts} meldingen kwamen aan, de traagste {slowest_seconds} s na zijn vermelding; "
    "{events} gebeurtenissen in totaal"
)
_GUESS_EN = (
    "{records} people in {requests} tries, {seconds} s; {alert}; the refusal at the syslog server after "
    "{refusal_seconds} s; refused: {refused}"
)
_GUESS_NL = (
    "{records} mensen in {requests} pogingen, {seconds} s; {alert}; de weigering bij de syslogserver na "
    "{refusal_seconds} s; geweigerd: {refused}"
)

LINES: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "one": {
        "en": (
            "one stolen login that knows every key, {per_second} a second",
            "at most the budget, {budget} people a day; told of",
            _ONE_EN,
        ),
        "nl": (
            "één gestolen aanmelding die elke sleutel kent, {per_second} per seconde",
            "hooguit het budget, {budget} mensen per dag; gemeld",
            _ONE_NL,
        ),
    },
    "fast": {
        "en": (
            "one stolen login, as fast as it can",
            "at most the budget, {budget} people a day; told of",
            _ONE_EN,
        ),
        "nl": (
            "één gestolen aanmelding, zo snel als het kan",
            "hooguit het budget, {budget} mensen per dag; gemeld",
            _ONE_NL,
        ),
    },
    "ten": {
        "en": (
            "{stolen} stolen logins together, with {kills} kills of keeper and gateway",
            "at most {budget} each, and {supplier_budget} for all of their partner, advisers included; told of",
            _TEN_EN,
        ),
        "nl": (
            "{stolen} gestolen aanmeldingen samen; keeper en gateway {kills} keer afgeschoten",
            "hooguit {budget} elk, en {supplier_budget} voor heel hun partner, adviseurs inbegrepen; gemeld",
            _TEN_NL,
        ),
    },
    "honest": {
        "en": ("{advisers} advisers at work all the while", "served, and left alone", _HONEST_EN),
        "nl": ("{advisers} adviseurs al die tijd aan het werk", "bediend, en met rust gelaten", _HONEST_NL),
    },
    "patient": {
        "en": (
            "a patient thief, who knows every threshold and budget",
            "what the owner chose: never more than the budget, in {days} days {most}",
            _PATIENT_EN,
        ),
        "nl": (
            "een geduldige dief, die elke drempel en elk budget kent",
            "wat de eigenaar koos: nooit meer dan het budget, in {days} dagen {most}",
            _PATIENT_NL,
        ),
    },
    "siem": {
        "en": ("the organisation's own monitoring, a syslog server over TLS", "each alert there", _SIEM_EN),
        "nl": ("de eigen bewaking van de organisatie, een syslogserver over TLS", "elke melding is er", _SIEM_NL),
    },
    "ledger": {
        "en": (
            "the ledger on what came out",
            "each record in it, none that is not",
            "{out} people came out; {recorded} stand in the ledger, {charged} were charged",
        ),
        "nl": (
            "het logboek over wat eruit kwam",
            "elk record staat erin, en geen ander",
            "{out} mensen kwamen eruit; {recorded} staan in het logboek, {charged} zijn er aangerekend",
        ),
    },
    "verified": {
        "en": ("verifying afterwards", "tree, payloads, register and charges hold", "everything holds"),
        "nl": ("controle achteraf", "boom, inhoud, register en aanrekeningen kloppen", "alles klopt"),
    },
    "verify": {
        "en": ("verifying afterwards", "tree, payloads, register and charges hold", "{said}"),
        "nl": ("controle achteraf", "boom, inhoud, register en aanrekeningen kloppen", "{said}"),
    },
    "ids": {
        "en": (
            "{tried} ids of objects, shares and lookups, one of them right and forbidden",
            "one and the same 404",
            "{kinds} kind of answer: {statuses}",
        ),
        "nl": (
            "{tried} ids van objecten, deelruimtes en opvragingen, één ervan juist en verboden",
            "één en dezelfde 404",
            "{kinds} soort antwoord: {statuses}",
        ),
    },
    "guess": {
        "en": ("keys guessed, {misses} % of them nobody's", "at most {most} people, then stopped", _GUESS_EN),
        "nl": ("sleutels geraden, {misses} % van niemand", "hooguit {most} mensen, dan gestopt", _GUESS_NL),
    },
    "guessers": {
        "en": (
            "the ledger on who guessed",
            "named, with the reason",
            "{stopped} clients stopped for guessing, {refusals} entries of refusals",
        ),
        "nl": (
            "het logboek over wie raadde",
            "bij naam, met de reden",
            "{stopped} systemen gestopt om raden, {refusals} vermeldingen van weigeringen",
        ),
    },
}

COMPARED: Mapping[str, Mapping[str, str]] = {
    "title": {
        "en": "The same traffic under other watchers. Peers' alerts stop nothing; here each counts as a stop at once. "
        "Where Keten stopped a thief, he goes on for them. Keten's own figures are of the drill's half minutes: who "
        "was only slowed down goes on at 30 a minute, up to the budget.",
        "nl": "Hetzelfde verkeer onder andere bewakers. Meldingen van anderen stoppen niets; hier telt elk als "
        "ogenblikkelijke stop. Waar Keten een dief stopte, gaat hij voor hen door. Ketens eigen cijfers zijn van de "
        "halve minuten van de oefening: wie alleen vertraagd werd, gaat door met 30 per minuut, tot het budget.",
    },
    "thief": {"en": "Thief", "nl": "Dief"},
    "watcher": {"en": "Watcher", "nl": "Bewaker"},
    "before_alert": {"en": "People before the first alert", "nl": "Mensen vóór de eerste melding"},
    "out": {"en": "People in all", "nl": "Mensen in totaal"},
    "seconds": {"en": "Time to it", "nl": "Tijd tot dan"},
    "honest": {"en": "Honest told of", "nl": "Eerlijken gemeld"},
    "never": {"en": "never", "nl": "nooit"},
    "everything": {"en": "not stopped", "nl": "niet gestopt"},
    "there-2024": {"en": "France, 2024, four weeks", "nl": "Frankrijk, 2024, vier weken"},
    "one": {"en": "one, as in 2024", "nl": "één, als in 2024"},
    "fast": {"en": "one, fast", "nl": "één, snel"},
    "ten": {"en": "ten together", "nl": "tien samen"},
    "guess-0": {"en": "guessing, 2/3 wrong", "nl": "raden, 2/3 fout"},
    "guess-1": {"en": "guessing, 1/3 wrong", "nl": "raden, 1/3 fout"},
    "guess-2": {"en": "guessing, 2 % wrong", "nl": "raden, 2 % fout"},
    "patient": {"en": "patient, 28 days", "nl": "geduldig, 28 dagen"},
}


def told(code: str, figures: Mapping[str, Any], language: str) -> tuple[str, str, str]:
    """What was attacked, what is promised and what was seen, with the figures of one line."""
    values = {name: shown(value, language) for name, value in figures.items()}
    if "before_alert" in figures:
        sentence = _NO_ALERT if figures["before_alert"] is None else _ALERT
        values["alert"] = sentence[language].format_map(values)
    attack, promised, seen = (text.format_map(values) for text in LINES[code][language])
    return attack, promised, seen


def lasted(seconds: float, language: str) -> str:
    """A time as people say it."""
    if seconds < 2 * 86_400:
        return f"{shown(seconds, language)} s"
    return f"{shown(round(seconds / 86_400), language)} {'dagen' if language == 'nl' else 'days'}"


def word(name: str, language: str) -> str:
    """A word of the comparison; what has none is its own."""
    return COMPARED[name][language] if name in COMPARED else name


def shown(value: Any, language: str) -> str:
    """A figure as people write it; None: never."""
    if value is None:
        return COMPARED["never"][language]
    if isinstance(value, bool):
        yes, no = ("ja", "nee") if language == "nl" else ("yes", "no")
        return yes if value else no
    if isinstance(value, dict):
        return ", ".join(f"{code} {shown(count, language)}" for code, count in value.items()) or "0"
    if isinstance(value, int | float):
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
        return text.translate(_DUTCH) if language == "nl" else text
    return str(value) or "–"


def percent(share: float, language: str) -> str:
    """A share as a percentage with the digits that say something."""
    text = f"{share:.4%}" if share < 0.001 else f"{share:.2%}"
    return text.replace(".", ",") if language == "nl" else text


_DUTCH = str.maketrans(",.", ".,")
