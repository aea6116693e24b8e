"""Reason codes as sentences. Those of the policies are the policies' own; the others are as docs/formats/reasons.md."""

from __future__ import annotations

from keten.policy.reasons import REASONS, Reason

OTHERS: dict[str, Reason] = {
    "client-unknown": Reason(
        "No system account has this id. Outside it looks like `key-unknown`.",
        "Geen systeemaccount heeft deze id. Naar buiten ziet dit eruit als `key-unknown`.",
    ),
    "key-unknown": Reason(
        "The proof was not made with a key of this system account.",
        "Het bewijs is niet gemaakt met een sleutel van dit systeemaccount.",
    ),
    "proof-invalid": Reason(
        "The proof of who is asking is not valid.",
        "Het bewijs van wie erom vraagt, is niet geldig.",
    ),
    "proof-expired": Reason(
        "The proof is too old, or from the future.",
        "Het bewijs is te oud, of komt uit de toekomst.",
    ),
    "proof-replayed": Reason(
        "The proof was used before.",
        "Het bewijs is al eerder gebruikt.",
    ),
    "token-invalid": Reason(
        "The access token is not valid.",
        "Het toegangstoken is niet geldig.",
    ),
    "token-expired": Reason(
        "The access token is over.",
        "Het toegangstoken is verlopen.",
    ),
    "session-ended": Reason(
        "The SFTP session is over.",
        "De SFTP-sessie is voorbij.",
    ),
    "sign-in-again": Reason(
        "What was signed in with is over: it was signed out. Signing in again is all it takes.",
        "Waarmee is aangemeld, geldt niet meer: het is afgemeld. Opnieuw aanmelden volstaat.",
    ),
    "budget-spent": Reason(
        "There are more records in it than are left of the budget in this window.",
        "Er zitten meer records in dan er in dit tijdvak van het budget over zijn.",
    ),
    "budget-slow": Reason(
        "The budget is used up, and goes on slowly: it was asked for again too soon.",
        "Het budget is op en gaat langzaam verder: er werd te snel weer om gevraagd.",
    ),
    "budget-step-up": Reason(
        "The budget is used up; who signs in again may go on, up to a ceiling.",
        "Het budget is op; wie zich opnieuw aanmeldt, mag verder, tot een plafond.",
    ),
    "guessing": Reason(
        "Too many keys were asked for that there are not; lookups of this client are stopped for an hour.",
        "Er is naar te veel sleutels gevraagd die er niet zijn; "
        "bevragingen van dit systeemaccount zijn een uur gestopt.",
    ),
    "outside-caseload": Reason(
        "A record is not in the client's caseload.",
        "Een gegeven hoort niet bij de zaken van dit systeemaccount.",
    ),
    "key-destroyed": Reason(
        "The dataset's key was destroyed, and its content with it.",
        "De sleutel van de gegevensset is vernietigd, en daarmee de inhoud.",
    ),
    "key-missing": Reason(
        "A stored key is missing.",
        "Een bewaarde sleutel ontbreekt.",
    ),
    "key-damaged": Reason(
        "A stored key is damaged, or belongs elsewhere.",
        "Een bewaarde sleutel is beschadigd, of hoort ergens anders bij.",
    ),
    "content-missing": Reason(
        "The object's ciphertext is not in the store.",
        "De versleutelde inhoud van het object ontbreekt in de opslag.",
    ),
    "content-damaged": Reason(
        "The object's ciphertext is damaged; nothing of the damaged part was delivered.",
        "De versleutelde inhoud van het object is beschadigd; van het beschadigde deel is niets geleverd.",
    ),
    "content-unreadable": Reason(
        "The disk did not give the content that it has.",
        "De schijf gaf de inhoud die erop staat niet vrij.",
    ),
    "replaced": Reason(
        "Destroyed: other content took its place.",
        "Vernietigd: andere inhoud kwam ervoor in de plaats.",
    ),
    "retention-over": Reason(
        "Destroyed: its retention was over.",
        "Vernietigd: de bewaartermijn was voorbij.",
    ),
    "dataset-key-destroyed": Reason(
        "Destroyed: the key of its dataset was.",
        "Vernietigd: de sleutel van de gegevensset is vernietigd.",
    ),
    # Why people were refused, as the ledger has it; what the faces tell them is in `sayings.py`.
    "sign-in-failed": Reason(
        "Signing in did not work.",
        "Inloggen is niet gelukt.",
    ),
    "link-invalid": Reason(
        "The one-time link does not work.",
        "De eenmalige link werkt niet.",
    ),
    "link-used": Reason(
        "The link was used before.",
        "De link is al eerder gebruikt.",
    ),
    "link-expired": Reason(
        "The link is over.",
        "De link is verlopen.",
    ),
    "passkey-invalid": Reason(
        "The passkey could not be verified.",
        "De passkey kon niet worden gecontroleerd.",
    ),
    "passkey-unknown": Reason(
        "There is no such passkey.",
        "Die passkey is er niet.",
    ),
    "passkey-ended": Reason(
        "The passkey was ended.",
        "De passkey is beëindigd.",
    ),
    "passkey-copied": Reason(
        "The counter of the passkey went back: there may be a copy.",
        "De teller van de passkey ging terug: er kan een kopie zijn.",
    ),
    "ceremony-over": Reason(
        "It took too long, or was begun elsewhere.",
        "Het duurde te lang, of is elders begonnen.",
    ),
    "session-elsewhere": Reason(
        "The session is of another face or browser.",
        "De sessie is van een ander loket of een andere browser.",
    ),
    "person-ended": Reason(
        "The person has been ended.",
        "De persoon is beëindigd.",
    ),
    "no-role": Reason(
        "The person has no role here.",
        "De persoon heeft hier geen rol.",
    ),
    "not-allowed": Reason(
        "No role of the person holds this.",
        "Geen rol van de persoon staat dit toe.",
    ),
    "recovered-lately": Reason(
        "The person came back by a recovery lately, and may look only for a while.",
        "De persoon kwam kort geleden terug met een herstel, en mag een tijd alleen kijken.",
    ),
    "step-up": Reason(
        "A fresh confirmation with a passkey is needed.",
        "Een nieuwe bevestiging met een passkey is nodig.",
    ),
    "no-passkey": Reason(
        "It takes a passkey, and the person has none.",
        "Het vraagt een passkey, en de persoon heeft er geen.",
    ),
    "too-many-passkeys": Reason(
        "There are as many passkeys as one person may have.",
        "Er zijn zoveel passkeys als één persoon mag hebben.",
    ),
    # Why transfers are cut, and what only an overview asks.
    "no-contract": Reason(
        "The supplier has no contract.",
        "De leverancier heeft geen verwerkersovereenkomst.",
    ),
    "no-client": Reason(
        "The supplier has no system account or person that could fetch it.",
        "De leverancier heeft geen systeemaccount en geen persoon die het kan ophalen.",
    ),
    "ends-sooner": Reason(
        "A change of the register brought the end of this access nearer: it was cut, and the rest may be fetched until"
        " then.",
        "Een wijziging in het register vervroegde het einde van deze toegang: die is afgebroken, en de rest kan tot dat"
        " einde worden opgehaald.",
    ),
    "clock-jumped": Reason(
        "The clock of the machine jumped, so everything under way was cut.",
        "De klok van de machine versprong; alles wat bezig was, is afgebroken.",
    ),
    "keeper-stopping": Reason(
        "Keten was stopped.",
        "Keten werd gestopt.",
    ),
    "changed": Reason(
        "The register changed, and everything under way was cut.",
        "Het register veranderde; alles wat bezig was, is afgebroken.",
    ),
}


def sentence(code: str, language: str) -> str:
    """What a reason code says, in "nl" or "en"; the code itself where it is not known here."""
    found = REASONS.get(code) or OTHERS.get(code)
    if found is None:
        return code
    return found.nl if language == "nl" else found.en
