"""Nobody outside signs any more: worker, doctor and overview of a running instance say so until somebody does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keten.drills.neighbours import WitnessProcess, policy, size_of, until
from keten.drills.throwaway import Throwaway
from keten.keeper.protocol import Exported, Recorded
from tests.visitor import Visitor

WITNESSES = '[witnesses]\npolicy = "witnesses.policy"\nevery = "1s"\nlimit = "5s"\n'
QUIET = ("--gateway", "off", "--sftp", "off")
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people: [{id: dpo, email: dpo@rijnstad.example, roles: [privacy-officer]}]
"""
LATE = {"en": "Nobody outside has signed what was recorded since", "nl": "Geen buitenstaander heeft ondertekend"}


def doctor(keten: Throwaway) -> tuple[int, dict[str, str]]:
    done = keten.command("doctor", "--json")
    return done.returncode, {one["code"]: one["severity"] for one in json.loads(done.stdout)["findings"]}


def late_on_screen(reader: Visitor) -> set[str]:
    return {language for language, sentence in LATE.items() if sentence in reader.get(f"/{language}").text}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_alarm_comes_and_goes(tmp_path: Path) -> None:
    keten = Throwaway(tmp_path, settings=WITNESSES)
    ledger = keten.paths.ledger
    key = (ledger / "key.pub").read_text().strip()
    with WitnessProcess(tmp_path / "w", "w") as witness, keten:
        witness.add(key)
        witness.start()
        (keten.home / "witnesses.policy").write_text(policy(key, [witness]))
        keten.up(*QUIET)
        keten.apply(ESTATE)
        reader = Visitor(keten.ready["console"])
        assert reader.enrol(keten.run("person", "invite", "dpo")["link"]).status == 303
        assert until(lambda: size_of(ledger / "witnessed") == size_of(ledger / "checkpoint") > 0, 150), keten.log()
        assert until(lambda: not late_on_screen(reader), 60)
        assert "outside-late" not in doctor(keten)[1]
        assert "no outside signature yet" not in keten.log()

        witness.stop()
        with keten.keeper() as keeper:
            keeper.call("ledger.exported", Exported(1, "elsewhere"), Recorded)
        assert until(lambda: "no outside signature yet" in keten.log(), 150), keten.log()
        code, found = doctor(keten)
        assert (code, found["outside-late"]) == (1, "wrong")
        assert until(lambda: late_on_screen(reader) == {"en", "nl"}, 60), reader.get("/nl").text

        witness.start()
        assert until(lambda: "outside-late" not in doctor(keten)[1], 150), keten.log()
        assert until(lambda: not late_on_screen(reader), 60)
