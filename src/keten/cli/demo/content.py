"""Made-up content, real in form and size, made in seconds. Nobody in it exists.

The numbers that look like a burgerservicenummer all fail its check digit (the "11-test") on purpose: no such number was
ever given to anyone.
"""

from __future__ import annotations

import random
from itertools import cycle
from pathlib import Path

import msgspec
import polars as pl

from keten.cli.demo import names

PEOPLE = 100_000
RIDES = 2_400
EXPORT_BYTES = 200_000_000
_SEED = 2026
_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2)  # of the first eight digits; the last counts -1
_CASE_SENTENCES = 10
_VARIANTS = 500
_CASES_AT_ONCE = 10_000


class Made(msgspec.Struct, frozen=True):
    """The files. documents: none where the folder with samples is not there."""

    people: Path
    voters: Path
    rides: Path
    export: Path
    documents: tuple[Path, ...]


def make(folder: Path, documents: Path | None, *, people: int = PEOPLE, export_bytes: int = EXPORT_BYTES) -> Made:
    """Write everything into `folder`: a population register, and what is made from it for each supplier.

    1. The register, as Parquet; for the printer as CSV, with no more than a card needs.
    2. Rides of some of them, for the transport firm.
    3. An export of old cases, for the archive firm.
    """
    register = population(people)
    made = Made(
        people=folder / "bevolkingsregister.parquet",
        voters=folder / "kiesregister-2026.csv",
        rides=folder / "ritten-week-48.csv",
        export=folder / "zaken-export.csv",
        documents=_documents(documents),
    )
    register.write_parquet(made.people)  # 1
    register.select("naam", "straat", "huisnummer", "postcode", "woonplaats").write_csv(made.voters)
    _rides(register.head(RIDES)).write_csv(made.rides)  # 2
    _write_export(register, made.export, export_bytes)  # 3
    return made


def population(count: int) -> pl.DataFrame:
    """So many people who do not exist, the same ones each time."""
    chance = random.Random(_SEED)  # noqa: S311 - made-up names, no secret
    first, particles = chance.choices(names.FIRST, k=count), chance.choices(names.PARTICLES, k=count)
    last, places = chance.choices(names.LAST, k=count), chance.choices(names.PLACES, k=count)
    letters = chance.choices("ABCDEGHJKLNPRSTVWXZ", k=2 * count)
    days = [chance.randrange(365 * 95) for _ in range(count)]
    return pl.DataFrame(
        {
            "bsn": numbers(chance, count),
            "naam": [" ".join(filter(None, parts)) for parts in zip(first, particles, last, strict=True)],
            "geboren": pl.Series(days).cast(pl.Int32),
            "straat": chance.choices(names.STREETS, k=count),
            "huisnummer": [chance.randrange(1, 240) for _ in range(count)],
            "postcode": [f"{code} {letters[2 * at]}{letters[2 * at + 1]}" for at, (code, _) in enumerate(places)],
            "woonplaats": [place for _code, place in places],
        }
    ).with_columns(pl.date(1931, 1, 1) + pl.duration(days=pl.col("geboren")))


def numbers(chance: random.Random, count: int) -> list[str]:
    """Numbers of nine digits, all different, that look like a BSN and fail its check digit."""
    found = []
    for start in chance.sample(range(10_000_000, 99_999_999), count):
        digits = str(start)
        rest = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True)) % 11
        found.append(f"{digits}{(rest + chance.randrange(1, 10)) % 10}")  # never `rest`, which alone would pass
    return found


def passes(number: str) -> bool:
    """Whether a number passes the 11-test of a BSN."""
    digits = [int(digit) for digit in number]
    return (sum(w * d for w, d in zip(_WEIGHTS, digits[:8], strict=True)) - digits[8]) % 11 == 0


def _rides(register: pl.DataFrame) -> pl.DataFrame:
    chance = random.Random(_SEED + 1)  # noqa: S311 - as above
    count = register.height
    return register.select("naam", "straat", "huisnummer", "woonplaats").with_columns(
        pl.Series("dag", chance.choices(("ma", "di", "wo", "do", "vr"), k=count)),
        pl.Series("ophalen", [f"{chance.randrange(7, 10)}:{chance.randrange(0, 60, 5):02}" for _ in range(count)]),
        pl.Series("naar", chance.choices(("dagbesteding", "ziekenhuis", "praktijkschool", "revalidatie"), k=count)),
        pl.Series("rolstoel", chance.choices(("nee", "nee", "nee", "ja"), k=count)),
    )


def _write_export(register: pl.DataFrame, path: Path, least: int) -> None:
    """Old cases about these people, until the file has at least so many bytes."""
    chance = random.Random(_SEED + 2)  # noqa: S311 - as above
    texts = [" ".join(chance.choices(names.SENTENCES, k=_CASE_SENTENCES)) for _ in range(_VARIANTS)]
    with path.open("wb") as stream:
        for part, people in enumerate(cycle(register.iter_slices(_CASES_AT_ONCE))):
            if stream.tell() >= least:
                return
            count = people.height
            cases = pl.DataFrame(
                {
                    "zaak": [f"Z{part:02}-{at:06}" for at in range(count)],
                    "bsn": people["bsn"],
                    "naam": people["naam"],
                    "onderwerp": chance.choices(names.SUBJECTS, k=count),
                    "toelichting": chance.choices(texts, k=count),
                }
            )
            cases.write_csv(stream, include_header=part == 0)


def _documents(folder: Path | None) -> tuple[Path, ...]:
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(one for one in folder.iterdir() if one.is_file() and one.suffix != ".md"))
