"""What each detector says, in English and Dutch, and what its facts are called."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

OTHER = "other"


class Text(msgspec.Struct, frozen=True):
    """What a detector says, in one language. {who}, {dataset}, {supplier}, {bytes} and {usual} are filled in."""

    title: str
    seen: str
    usual: str


TEXTS: Mapping[str, tuple[Text, Text]] = {
    "misses": (
        Text(
            "Many keys that do not exist",
            "{who} asked for many records of {dataset} that are not there: that is how one tries out keys.",
            "Who works from a list of its own asks nearly always for what is there.",
        ),
        Text(
            "Veel sleutels die niet bestaan",
            "{who} vroeg veel records van {dataset} op die er niet zijn: zo probeert iemand sleutels uit.",
            "Wie met een eigen lijst werkt, vraagt bijna altijd op wat er is.",
        ),
    ),
    "adjacency": (
        Text(
            "Keys in a row",
            "{who} asked for records of {dataset} whose keys lie next to each other.",
            "Cases of daily work lie spread over all keys.",
        ),
        Text(
            "Sleutels op een rij",
            "{who} vroeg records van {dataset} op waarvan de sleutels naast elkaar liggen.",
            "De zaken van het dagelijks werk liggen verspreid over alle sleutels.",
        ),
    ),
    "volume": (
        Text(
            "Much more than usual",
            "{who} received many more records of {dataset} than it usually does.",
            "Compared with its own past and with others who work for the same purpose.",
        ),
        Text(
            "Veel meer dan gewoonlijk",
            "{who} ontving veel meer records van {dataset} dan gewoonlijk.",
            "Vergeleken met het eigen verleden en met anderen die voor hetzelfde doel werken.",
        ),
    ),
    "rate": (
        Text(
            "Much faster than usual",
            "{who} asked for {dataset} much faster than it usually does.",
            "Compared with its own past and with others who work for the same purpose.",
        ),
        Text(
            "Veel sneller dan gewoonlijk",
            "{who} vroeg {dataset} veel sneller op dan gewoonlijk.",
            "Vergeleken met het eigen verleden en met anderen die voor hetzelfde doel werken.",
        ),
    ),
    "country-new": (
        Text(
            "A country for the first time",
            "{who} came from a country that it never came from before.",
            "It came from the same few countries so far.",
        ),
        Text(
            "Voor het eerst uit een land",
            "{who} kwam uit een land waar het nooit eerder vandaan kwam.",
            "Tot nu toe kwam het steeds uit dezelfde landen.",
        ),
    ),
    "network-new": (
        Text(
            "A network for the first time",
            "{who} came from a network that it never came from before.",
            "It came from the same few networks so far.",
        ),
        Text(
            "Voor het eerst uit een netwerk",
            "{who} kwam uit een netwerk waar het nooit eerder vandaan kwam.",
            "Tot nu toe kwam het steeds uit dezelfde netwerken.",
        ),
    ),
    "travel": (
        Text(
            "Faster than one can travel",
            "{who} came from two countries within a time in which nobody travels from one to the other.",
            "A system stays where it is, or moves at the speed of people.",
        ),
        Text(
            "Sneller dan men kan reizen",
            "{who} kwam uit twee landen binnen een tijd waarin niemand van het ene naar het andere reist.",
            "Een systeem blijft waar het is, of verplaatst zich zo snel als mensen.",
        ),
    ),
    "places-at-once": (
        Text(
            "Several places at once",
            "{who} was at work from several networks at the same time.",
            "It works from one place at a time.",
        ),
        Text(
            "Op meer plaatsen tegelijk",
            "{who} was tegelijk vanuit verschillende netwerken aan het werk.",
            "Het werkt vanuit één plaats tegelijk.",
        ),
    ),
    "key-new": (
        Text(
            "A key for the first time",
            "{who} signed in with a key that was never used before.",
            "It signed in with the same key so far.",
        ),
        Text(
            "Een sleutel voor het eerst",
            "{who} meldde zich aan met een sleutel die nooit eerder is gebruikt.",
            "Tot nu toe meldde het zich aan met dezelfde sleutel.",
        ),
    ),
    "dormant": (
        Text(
            "Awake after a long time",
            "{who} was not seen for a long time, and is at work again.",
            "A system account that nobody uses is better ended.",
        ),
        Text(
            "Wakker na lange tijd",
            "{who} is lang niet gezien, en is weer aan het werk.",
            "Een systeemaccount dat niemand gebruikt, kan beter worden beëindigd.",
        ),
    ),
    "off-hours": (
        Text(
            "At an hour that is not its own",
            "{who} was at work at an hour at which it hardly ever is.",
            "Measured by its own rhythm of days and hours.",
        ),
        Text(
            "Op een ongewoon uur",
            "{who} was aan het werk op een uur waarop het dat bijna nooit is.",
            "Gemeten aan het eigen ritme van dagen en uren.",
        ),
    ),
    "failed-sign-ins": (
        Text(
            "Many sign-ins that failed",
            "Many attempts to sign in failed, by or in the name of {who}.",
            "A sign-in fails now and then: a clock that is wrong, a key that was replaced.",
        ),
        Text(
            "Veel mislukte aanmeldingen",
            "Veel pogingen om aan te melden mislukten, door of uit naam van {who}.",
            "Een aanmelding mislukt nu en dan: een klok die niet klopt, een sleutel die is vervangen.",
        ),
    ),
    "low-and-slow": (
        Text(
            "A little more, for weeks",
            "{who} has received a little more of {dataset} than it should for weeks on end.",
            "Busy days and quiet days even out.",
        ),
        Text(
            "Wekenlang iets meer",
            "{who} ontvangt al weken achtereen iets meer van {dataset} dan zou moeten.",
            "Drukke en rustige dagen middelen uit.",
        ),
    ),
    "everything": (
        Text(
            "Everything it may have",
            "{who} fetched about everything that it may have.",
            "Who works takes what the work of the day needs.",
        ),
        Text(
            "Alles wat het mag hebben",
            "{who} haalde zo ongeveer alles op wat het mag hebben.",
            "Wie werkt, haalt op wat het werk van de dag vraagt.",
        ),
    ),
    "budget-share": (
        Text(
            "Far more than usual, and much of its budget",
            "{who} received many times what it usually does of {dataset}, and with it a large part of its budget.",
            "On busy days it, and those who work beside it, stayed far below that.",
        ),
        Text(
            "Veel meer dan gewoonlijk, en veel van het budget",
            "{who} ontving vele malen meer van {dataset} dan gewoonlijk, en daarmee een groot deel van het budget.",
            "Op drukke dagen bleef het, net als de accounts ernaast, daar ver onder.",
        ),
    ),
    "before-end": (
        Text(
            "Much, just before the end",
            "{who} took much of {dataset} shortly before its contract ends.",
            "Towards the end of a contract there is less to do.",
        ),
        Text(
            "Veel, kort voor het einde",
            "{who} haalde veel van {dataset} op, kort voor het einde van de verwerkersovereenkomst.",
            "Tegen het einde van een verwerkersovereenkomst is er minder te doen.",
        ),
    ),
    "purpose-new": (
        Text(
            "A purpose for the first time",
            "{who} used {dataset} for a purpose that it never used it for before.",
            "It worked for the same purposes so far.",
        ),
        Text(
            "Voor het eerst voor een doel",
            "{who} gebruikte {dataset} voor een doel waarvoor het dat nooit eerder deed.",
            "Tot nu toe werkte het voor dezelfde doelen.",
        ),
    ),
    "network-listed": (
        Text(
            "From a network on your list",
            "{who} came from a network that is on your list of bad networks.",
            "Nobody should come from there.",
        ),
        Text(
            "Uit een netwerk op uw lijst",
            "{who} kwam uit een netwerk dat op uw lijst van slechte netwerken staat.",
            "Daar hoort niemand vandaan te komen.",
        ),
    ),
    "detector-fault": (
        Text(
            "A detector failed",
            "One of the watch's own detectors failed on an event. Access was decided as always; "
            "that detector did not look.",
            "Detectors do not fail: please report it.",
        ),
        Text(
            "Een detector faalde",
            "Een van de detectoren van de bewaking faalde op een gebeurtenis. De toegang is beslist zoals altijd; "
            "die detector keek niet.",
            "Detectoren horen niet te falen: meld het.",
        ),
    ),
    "outside": (
        Text(
            "Outside its own cases",
            "{who} asked for many records of {dataset} that are not in its caseload.",
            "Who works on cases of its own seldom needs another's.",
        ),
        Text(
            "Buiten de eigen zaken",
            "{who} vroeg veel records van {dataset} op die niet bij de eigen zaken horen.",
            "Wie aan eigen zaken werkt, heeft zelden die van een ander nodig.",
        ),
    ),
    "several": (
        Text(
            "Several weak signs together",
            "{who} is not where or when it usually is, and takes what it usually does not.",
            "One such sign means little; within a day they hardly ever come together.",
        ),
        Text(
            "Verscheidene zwakke tekenen samen",
            "{who} is niet waar of wanneer het gewoonlijk is, en haalt op wat het gewoonlijk niet ophaalt.",
            "Eén zo'n teken zegt weinig; binnen een dag komen ze bijna nooit samen voor.",
        ),
    ),
    "supplier-volume": (
        Text(
            "A supplier receives much more than usual",
            "All system accounts of one supplier together received many more records than they usually do.",
            "Compared with the supplier's own past.",
        ),
        Text(
            "Een leverancier ontvangt veel meer dan gewoonlijk",
            "Alle systeemaccounts van één leverancier samen ontvingen veel meer records dan gewoonlijk.",
            "Vergeleken met het eigen verleden van de leverancier.",
        ),
    ),
    "budget-spent": (
        Text(
            "A budget is used up",
            "{who} has used up its budget of {dataset}, and was refused more.",
            "A budget is set so that normal work stays well below it.",
        ),
        Text(
            "Een budget is op",
            "{who} heeft het budget van {dataset} opgebruikt, en kreeg niet meer.",
            "Een budget is zo gekozen dat normaal werk er ruim onder blijft.",
        ),
    ),
    "bypass": (
        Text(
            "Data to a supplier, past Keten",
            "{bytes} went to systems of {supplier} outside of Keten.",
            "Usual: {usual} a day. What Keten itself delivered there is not counted.",
        ),
        Text(
            "Gegevens naar een leverancier, buiten Keten om",
            "{bytes} ging buiten Keten om naar systemen van {supplier}.",
            "Gewoonlijk: {usual} per dag. Wat Keten daar zelf leverde, is niet meegeteld.",
        ),
    ),
    "operator": (
        Text(
            "Suspended by a person",
            "An operator suspended {who}.",
            "The reason stands in the note.",
        ),
        Text(
            "Opgeschort door een mens",
            "Een beheerder heeft {who} opgeschort.",
            "De reden staat in de notitie.",
        ),
    ),
    OTHER: (
        Text(
            "Something unusual",
            "A rule of the watch held for {who}, about {dataset}.",
            "The rule says what is usual.",
        ),
        Text(
            "Iets ongewoons",
            "Een regel van de bewaking gold voor {who}, over {dataset}.",
            "De regel zegt wat gewoon is.",
        ),
    ),
}

# What facts are called; one that is not here is called by its name.
LABELS: Mapping[str, tuple[str, str]] = {
    "asked": ("asked", "gevraagd"),
    "missed": ("not there", "niet aanwezig"),
    "near": ("next to another", "naast een andere"),
    "repeats": ("known records", "bekende records"),
    "outside": ("outside its caseload", "buiten de eigen zaken"),
    "records": ("records", "records"),
    "usual": ("usual", "gewoonlijk"),
    "limit": ("limit", "grens"),
    "score": ("score", "score"),
    "ratio": ("times as much", "keer zoveel"),
    "share": ("share", "aandeel"),
    "days": ("days", "dagen"),
    "hours": ("hours", "uren"),
    "hour": ("hour", "uur"),
    "minutes": ("minutes", "minuten"),
    "seconds": ("seconds", "seconden"),
    "count": ("count", "aantal"),
    "country": ("country", "land"),
    "before": ("before", "daarvoor"),
    "networks": ("networks", "netwerken"),
    "countries": ("countries", "landen"),
    "network": ("network (pseudonym)", "netwerk (pseudoniem)"),
    "other": ("other network (pseudonym)", "ander netwerk (pseudoniem)"),
    "other_country": ("other country", "ander land"),
    "known": ("known", "bekend"),
    "peers": ("others like it", "vergelijkbare anderen"),
    "low": ("low", "laag"),
    "weight": ("weight", "gewicht"),
    "signs": ("signs", "tekenen"),
    "turns": ("changes of place", "wisselingen van plaats"),
    "objects": ("files", "bestanden"),
    "of": ("of", "van"),
    "left": ("left", "over"),
    "kilometres": ("kilometres", "kilometer"),
    "strangers": ("strangers", "vreemden"),
    "weekend": ("weekend", "weekend"),
    "what": ("what", "wat"),
    "key": ("key", "sleutel"),
    "detector": ("detector", "detector"),
    "allowed": ("allowed", "toegestaan"),
    "principals": ("principals", "accounts"),
    "purpose": ("purpose", "doel"),
    "rule": ("rule", "regel"),
    "error": ("error", "fout"),
    "day": ("day", "dag"),
    "link": ("link", "verbinding"),
    "flows": ("flows", "verbindingen"),
    "from_network": ("from (pseudonym)", "vanuit (pseudoniem)"),
}
