"""What goes wrong, as RFC 9457 problem documents in English and Dutch: one table from category to status.

Absent, forbidden and ended give one and the same 404; only `instance` and the request's id differ (law 8).
Whatever the keeper denies to an HTTPS caller is about signing in: everything else it says is absent.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Any

import msgspec

from keten.core.errors import KetenError
from keten.gateway.link import data_of

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]


class Text(msgspec.Struct, frozen=True):
    """A kind of problem, and what is said about it."""

    status: int
    title: str
    detail: str
    titel: str
    uitleg: str


KINDS: dict[str, Text] = {
    "malformed": Text(
        400,
        "Malformed request",
        "The request is not well formed.",
        "Onjuist verzoek",
        "Het verzoek heeft niet de juiste vorm.",
    ),
    "sign-in": Text(
        401,
        "Sign in",
        "The request does not prove who is asking.",
        "Meld u aan",
        "Het verzoek bewijst niet wie het doet.",
    ),
    "not-found": Text(
        404,
        "Not found",
        "There is nothing here for you.",
        "Niet gevonden",
        "Hier is niets voor u.",
    ),
    "method": Text(
        405,
        "Method not allowed",
        "This address does not know that method.",
        "Methode niet toegestaan",
        "Dit adres kent die methode niet.",
    ),
    "timeout": Text(
        408,
        "Too slow",
        "The request took too long to arrive.",
        "Te traag",
        "Het verzoek deed er te lang over om binnen te komen.",
    ),
    "conflict": Text(
        409,
        "Not now",
        "The present state does not allow this.",
        "Nu niet mogelijk",
        "De huidige toestand staat dit niet toe.",
    ),
    "precondition": Text(
        412,
        "Another version",
        "What is here is not what the request is about (If-Match).",
        "Andere versie",
        "Wat hier staat is niet waar het verzoek over gaat (If-Match).",
    ),
    "too-large": Text(
        413,
        "Too large",
        "The request's content is too large.",
        "Te groot",
        "De inhoud van het verzoek is te groot.",
    ),
    "too-long": Text(
        414,
        "Address too long",
        "The address is too long.",
        "Adres te lang",
        "Het adres is te lang.",
    ),
    "media-type": Text(
        415,
        "Unsupported content",
        "Content of this type or encoding is not taken here.",
        "Soort inhoud niet ondersteund",
        "Inhoud van deze soort of codering wordt hier niet aangenomen.",
    ),
    "range": Text(
        416,
        "No such bytes",
        "The object has no such bytes.",
        "Deze bytes zijn er niet",
        "Het object heeft deze bytes niet.",
    ),
    "busy": Text(
        429,
        "Too much at once",
        "Too much is asked at once; try again in a moment.",
        "Te veel tegelijk",
        "Er wordt te veel tegelijk gevraagd; probeer het zo weer.",
    ),
    "budget-spent": Text(
        429,
        "The budget is used up",
        "The records that may be received in this period are used up. Ask the owner of the data for more.",
        "Het budget is op",
        "De gegevens die in deze periode mogen worden ontvangen, zijn op. Vraag de eigenaar van de gegevens om meer.",
    ),
    "budget-slow": Text(
        429,
        "The budget is used up: slowly on",
        "The records of this period are used up; further ones are given one by one, with time in between.",
        "Het budget is op: langzaam verder",
        "De gegevens van deze periode zijn op; verdere worden één voor één gegeven, met tijd ertussen.",
    ),
    "budget-step-up": Text(
        401,
        "The budget is used up: sign in again",
        "Who signs in again may go on, up to a ceiling.",
        "Het budget is op: meld u opnieuw aan",
        "Wie zich opnieuw aanmeldt, mag verder, tot een plafond.",
    ),
    "request-open": Text(
        409,
        "You have asked already",
        "There is a request for more that the owner of the data has not answered yet.",
        "U hebt al gevraagd",
        "Er is al om meer gevraagd; de eigenaar van de gegevens heeft nog niet geantwoord.",
    ),
    "no-budget": Text(
        409,
        "There is no budget",
        "There is no budget here that could be raised.",
        "Er is geen budget",
        "Hier is geen budget dat verhoogd kan worden.",
    ),
    "asked-often": Text(
        429,
        "Asked too often",
        "More was asked for too often within a day.",
        "Te vaak gevraagd",
        "Er is binnen een dag te vaak om meer gevraagd.",
    ),
    "guessing": Text(
        429,
        "Lookups are stopped",
        "Too many keys were asked for that there are not, so lookups are stopped for a while.",
        "Bevragingen zijn gestopt",
        "Er is naar te veel sleutels gevraagd die er niet zijn; bevragingen zijn daarom een tijd gestopt.",
    ),
    "headers-too-large": Text(
        431,
        "Headers too large",
        "The request's headers are too large.",
        "Kopregels te groot",
        "De kopregels van het verzoek zijn te groot.",
    ),
    "internal": Text(
        500,
        "Something went wrong",
        "Something went wrong here; nothing was delivered.",
        "Er ging iets mis",
        "Er ging hier iets mis; er is niets geleverd.",
    ),
    "version": Text(
        505,
        "Version not supported",
        "HTTP/1.1 is spoken here.",
        "Versie niet ondersteund",
        "Hier wordt HTTP/1.1 gesproken.",
    ),
    "unavailable": Text(
        503,
        "Not available now",
        "The service is not available at this moment; try again later.",
        "Nu niet beschikbaar",
        "De dienst is op dit moment niet beschikbaar; probeer het later weer.",
    ),
}

BY_CATEGORY = {
    "denied": "sign-in",
    "not-found": "not-found",
    "invalid": "malformed",
    "conflict": "conflict",
    "busy": "busy",
    "unavailable": "unavailable",
    "corrupt": "internal",
}

_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")  # RFC 9110 §12.4.2
RETRY_SECONDS = {"busy": b"1", "unavailable": b"2"}
_LIMITS = ("budget-spent", "budget-slow", "budget-step-up", "guessing", "request-open", "no-budget", "asked-often")
_BY_CODE = {"range-unsatisfiable": "range"} | {code: code for code in _LIMITS}
BUDGET = frozenset({"budget-spent", "budget-slow", "budget-step-up"})
"""The codes of a budget that is used up."""
_WRONG = {
    "keys": (" A lookup has 1 to 50 keys, each once.", " Een bevraging heeft 1 tot 50 sleutels, elk één keer."),
    "case": (
        " A lookup names its case in 1 to 200 printable characters.",
        " Een bevraging noemt de zaak waarvoor zij is, in 1 tot 200 afdrukbare tekens.",
    ),
    "columns": (" A column was asked for that is not granted.", " Er is om een kolom gevraagd die niet is toegekend."),
    "record-key": (
        " A key cannot be used: empty, too long, or with characters that are not printable.",
        " Een sleutel kan niet worden gebruikt: leeg, te lang, of met tekens die niet afdrukbaar zijn.",
    ),
    "more-records": (" So many records cannot be asked for.", " Om zo veel gegevens kan niet worden gevraagd."),
    "more-why": (
        " Say why, in one line of at most 500 printable characters.",
        " Zeg waarom, in één regel van hoogstens 500 afdrukbare tekens.",
    ),
    "more-case": (
        " A case is named in at most 200 printable characters.",
        " Een zaak wordt genoemd in hoogstens 200 afdrukbare tekens.",
    ),
}
"""What is wrong with a request of somebody who may make it."""
_TOLD = ("scope", "budget", "left", "per", "until", "more")  # of a limit of the principal's own (law 8)
_PERIODS = {
    "hour": ("this hour's", "dit uur"),
    "day": ("today's", "vandaag"),
    "week": ("this week's", "deze week"),
    "month": ("this month's", "deze maand"),
}


class Problem(Exception):
    """A request's failure as it is shown.

    code: a stable word of docs/formats/reasons.md, for sign-in and the principal's own limits only. told: more of them.
    retry_after: seconds, in place of those of the kind.
    """

    def __init__(
        self,
        kind: str,
        code: str = "",
        headers: Headers | None = None,
        told: dict[str, str] | None = None,
        retry_after: str = "",
    ) -> None:
        super().__init__(kind, code)
        self.kind = kind
        self.code = code
        self.headers = headers or []
        self.told = told or {}
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status


def new_request_id() -> str:
    """A name for one request, for the client and our logs."""
    return os.urandom(16).hex()


def problem_of(error: KetenError) -> Problem:
    """How a Keten error is shown. The private reason stays here."""
    kind = _BY_CODE.get(error.code) or BY_CATEGORY.get(error.category, "internal")
    data = data_of(error)
    headers: Headers = []
    code = ""
    if kind == "sign-in":
        code = error.code
        headers = challenge(code, data.get("nonce", ""))
    elif kind == "range":
        headers = [(b"content-range", b"bytes */" + data.get("size", "*").encode("ascii"))]
    elif kind in _LIMITS:
        if data.get("share"):
            data = data | {"more": f"/v1/shares/{data['share']}/more"}
        told = {word: data[word] for word in _TOLD if word in data}
        headers = challenge(error.code) if KINDS[kind].status == 401 else []  # RFC 9110 §15.5.2
        return Problem(kind, error.code, headers, told, data.get("retry_after", ""))
    elif kind == "internal":
        log.error("a request failed: %s", error)
    if data.get("entry"):
        headers.append((b"keten-entry", data["entry"].encode("latin-1")))
        headers.append((b"keten-entry-index", data["index"].encode("latin-1")))
    if kind == "malformed" and error.code in _WRONG:
        return Problem(kind, error.code, headers)
    if error.code == "system-unavailable":  # the lookup was allowed, so it may be told what it waits for
        return Problem(kind, error.code, headers)
    if error.code == "slowed":  # whose proof held: it is told its own limits (law 8)
        return Problem(kind, error.code, headers, retry_after=data.get("retry_after", ""))
    return Problem(kind, code, headers)


def challenge(code: str = "", nonce: str = "") -> Headers:
    """`WWW-Authenticate` for the DPoP scheme (RFC 9449 §7.1), with the nonce to use when one is asked for (§9)."""
    error = {
        "": "",
        "use_dpop_nonce": 'error="use_dpop_nonce", ',
        "proof-invalid": 'error="invalid_dpop_proof", ',
        "proof-expired": 'error="invalid_dpop_proof", ',
        "proof-replayed": 'error="invalid_dpop_proof", ',
        "budget-step-up": 'error="insufficient_user_authentication", ',  # RFC 9470 §3
    }.get(code, 'error="invalid_token", ')
    headers = [(b"www-authenticate", f'DPoP {error}algs="EdDSA ES256"'.encode("ascii"))]
    if nonce:
        headers.append((b"dpop-nonce", nonce.encode("latin-1")))
    return headers


def prefers_dutch(accept_language: str) -> bool:
    """Whether `Accept-Language` puts Dutch before English (RFC 9110 §12.5.4); a malformed header says no."""
    best = {"nl": (0.0, -1000), "en": (0.0, -1000)}
    for place, item in enumerate(accept_language[:200].split(",")):
        tag, _, parameter = item.partition(";")
        word = tag.strip().lower().partition("-")[0]
        if word in best:
            weight = _WEIGHT.match(parameter.strip() or "q=1")
            if weight is None:
                return False
            best[word] = max(best[word], (float(weight[1]), -place))
    return best["nl"] > best["en"] and best["nl"][0] > 0


def body_of(problem: Problem, instance: str, request_id: str, *, dutch: bool) -> bytes:
    """The problem document."""
    text = KINDS[problem.kind]
    document: dict[str, Any] = {
        "type": f"urn:keten:problem:{problem.kind}",
        "title": text.titel if dutch else text.title,
        "status": text.status,
        "detail": _used(problem, dutch=dutch) + (text.uitleg if dutch else text.detail) + _wrong(problem, dutch=dutch),
        "instance": instance,
        "request_id": request_id,
    }
    if problem.code:
        document["code"] = problem.code
    document |= problem.told
    return msgspec.json.encode(document)


def _wrong(problem: Problem, *, dutch: bool) -> str:
    """What is not right about a request, where that is told."""
    found = _WRONG.get(problem.code) if problem.kind == "malformed" else None
    return found[dutch] if found else ""


def _used(problem: Problem, *, dutch: bool) -> str:
    """Which budget is used up, until when, and how to ask for more; "" where the problem is another one."""
    told = problem.told
    period = _PERIODS.get(told.get("per", ""))
    if problem.kind not in BUDGET or period is None:
        return ""
    left, until = told["left"], told["until"]
    if dutch:
        how = f" Vraag hier om meer: POST {told['more']}, of 'keten ask'." if "more" in told else ""
        return f"Van de {told['budget']} gegevens voor {period[1]} zijn er nog {left} over, tot {until}.{how} "
    how = f" Ask for more here: POST {told['more']}, or 'keten ask'." if "more" in told else ""
    return f"Of {period[0]} {told['budget']} records {left} are left, until {until}.{how} "
