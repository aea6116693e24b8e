"""Words that made-up people and places are put together from. Common in the Netherlands, and nobody's in particular."""

from __future__ import annotations

FIRST = (
    *("Anna", "Bram", "Daan", "Emma", "Fatima", "Finn", "Hendrik", "Ibrahim", "Ingrid", "Jan", "Johanna", "Kees"),
    *("Lars", "Lieke", "Lotte", "Maria", "Marijke", "Mees", "Mohamed", "Noor", "Pieter", "Ravi", "Roos", "Sanne"),
    *("Sem", "Sofie", "Stijn", "Thijs", "Tess", "Willem", "Yara", "Zoë"),
)
PARTICLES = ("", "", "", "", "de", "van", "van de", "van den", "van der", "ter")
LAST = (
    *("Bakker", "Beek", "Berg", "Boer", "Bos", "Bosch", "Brink", "Broek", "Dekker", "Dijk", "El Idrissi", "Graaf"),
    *("Haan", "Heuvel", "Hoekstra", "Huisman", "Jacobs", "Jansen", "Kok", "Koning", "Kuipers", "Leeuwen", "Linden"),
    *("Maas", "Meer", "Mulder", "Peters", "Postma", "Prins", "Ramdin", "Sanders", "Schouten", "Smit", "Veenstra"),
    *("Visser", "Vos", "Vries", "Wal", "Willems", "Wit", "Yildiz", "Zanden"),
)
STREETS = (
    *("Beukenlaan", "Dorpsstraat", "Eikenlaan", "Grote Markt", "Haven", "Hoofdweg", "Industrieweg", "Julianaplein"),
    *("Kanaalkade", "Kastanjelaan", "Kerkstraat", "Lindenhof", "Molenweg", "Nieuwstraat", "Parklaan", "Raadhuisplein"),
    *("Schoolstraat", "Stationsweg", "Veldweg", "Wilhelminastraat", "Zandpad", "Zonnehof"),
)
PLACES = (("9701", "Voorbeeld"), ("9702", "Voorbeeld"), ("9703", "Voorbeeld-Noord"), ("9704", "Klein Voorbeeld"))
SUBJECTS = ("Bijstand", "Bouwvergunning", "Kwijtschelding", "Leerlingenvervoer", "Parkeren", "Schuldhulp", "Verhuizing")
SENTENCES = (
    "Aanvrager heeft de gevraagde stukken aangeleverd en is daarover per brief geïnformeerd.",
    "Tijdens het gesprek aan de balie is het dossier aangevuld met een recente specificatie.",
    "De behandelaar heeft de gegevens vergeleken met de basisregistratie en geen verschillen gevonden.",
    "Er is uitstel gegeven tot het einde van de volgende maand, in overleg met de teamleider.",
    "Het besluit is genomen binnen de wettelijke termijn en bekendgemaakt aan de aanvrager.",
    "Bezwaar is ongegrond verklaard; de motivering staat in de bijlage bij dit dossier.",
)
