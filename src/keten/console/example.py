"""An example of what an estate file says, to begin with: one supplier, one contract, one dataset and one grant.

It is a file's second half: the organisation and its people stand before it, as the register has them.
"""

from __future__ import annotations

from datetime import date, timedelta

from keten.datasets.model import CLASSIFICATIONS
from keten.identity.roles import STAFF, SUPPLIERS
from keten.pages.words import N_, Words
from keten.suppliers.model import FORMS, TIERS

RUNS = timedelta(days=365)
"""How long the example's contract runs from today."""
_COLLEAGUES = N_(
    "Colleagues who sign in at this console stand under 'people', above. One more of them is written as in the line "
    "below, without its #. Roles, one or several: %(roles)s."
)
_SUPPLIERS = N_(
    "Suppliers: who receives data. tier says how much hangs on it: %(tiers)s. Its people sign in at the portal; their "
    "roles: %(roles)s. A system that fetches by itself stands under 'clients', with its own public key."
)
_CONTRACTS = N_(
    "Contracts: why a supplier may have anything at all, and until when. The last day counts. Names of purposes are "
    "yours to choose."
)
_DATASETS = N_(
    "Datasets: what is shared. The owner is one of your own people. classification: %(classes)s. Files are destroyed "
    "after retention_days."
)
_GRANTS = N_(
    "Grants: which dataset, under which contract, for which of its purposes. form: %(forms)s; 'file' is whole files."
)
WIDTH = 100


def example(words: Words, owner: str, today: date) -> str:
    """The example in one language. owner: who owns its dataset, by the name in the register."""
    dataset, supplier, purpose = words.gettext("voters"), words.gettext("printer"), words.gettext("polling-cards")
    colleague, title = words.gettext("colleague"), words.gettext("Example Printers")
    contract = f"{supplier}-{today.year}"
    parts: tuple[str | tuple[str, dict[str, str]], ...] = (
        (_COLLEAGUES, {"roles": ", ".join(STAFF)}),
        f"#  - {{id: {colleague}, email: name@example.org, roles: [privacy-officer, data-owner]}}",
        (_SUPPLIERS, {"tiers": ", ".join(TIERS), "roles": ", ".join(SUPPLIERS)}),
        "suppliers:",
        f"  - id: {supplier}",
        f"    name: {title}",
        "    country: NL",
        "    tier: high",
        "    people:",
        f"      - {{id: {supplier}-contact, email: contact@example.com, roles: [contact]}}",
        "#    clients:",
        f'#      - {{id: {supplier}-system, keys: ["ssh-ed25519 AAAA…"]}}',
        (_CONTRACTS, {}),
        "contracts:",
        f"  - {{id: {contract}, supplier: {supplier}, starts: {today}, ends: {today + RUNS}, purposes: [{purpose}]}}",
        (_DATASETS, {"classes": ", ".join(CLASSIFICATIONS)}),
        "datasets:",
        f"  - {{id: {dataset}, owner: {owner}, classification: confidential, retention_days: 90}}",
        (_GRANTS, {"forms": ", ".join(FORMS)}),
        "grants:",
        f"  - {{id: {dataset}-{supplier}, dataset: {dataset}, contract: {contract}, purpose: {purpose}, form: file}}",
    )
    return "".join(
        f"{part}\n" if isinstance(part, str) else _comment(words.gettext(part[0]) % part[1]) for part in parts
    )


def _comment(text: str) -> str:
    """A text as lines of a comment, an empty line before them."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    return "\n" + "".join(f"# {one}\n" for one in (*lines, line))
