"""The drill `helpdesk`: four ways in through the people who help, each played out, and one honest way back.

At France Travail callers had the helpdesk reset a password, then phoned its owner as "the helpdesk" to get it (CNIL,
deliberation SAN-2026-003). At customers of Okta, in 2023, callers had every factor of administrators reset.

1. Everybody has a passkey; the times of a recovery are seconds instead of days.
2. The call of France Travail: the helpdesk is deceived and opens a recovery. Then the member is phoned, as "the
   helpdesk", and gives what it has. The approvers know nothing of it; the member presses "this is not me".
3. The call at Okta's customers: for an administrator. The helpdesk is deceived and does all that it can.
4. An insider at the helpdesk who also owns data: opens, approves, and opens again and again.
5. A stolen mailbox: the member really asked, and everybody approved in good faith; the thief reads one mailbox.
6. The honest member gets back in, and what is fetched in the days after.
7. The ledger verifies, and holds each step; and no secret of a letter is in any file of the instance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from keten.drills.rescue import CODE, DONE, OPENED, PART, STOP, House
from keten.drills.scoreboard import Scoreboard
from keten.drills.visitor import Visitor

_GUESSES = 12
_WAIT_SECONDS = 6.0
_BLOCKED_SECONDS = 150.0


class Helpdesk:
    """One run of the drill. `say` tells what happens, for a terminal."""

    def __init__(self, say: Callable[[str], None], folder: Path | None = None) -> None:
        self._say = say
        self._house = House(folder, 5)
        self.board = Scoreboard("helpdesk")

    def run(self) -> Scoreboard:
        """All seven steps; the instance is gone afterwards."""
        with self._house:
            self._begin()  # 1
            self._france_travail()  # 2
            self._all_factors()  # 3
            self._insider()  # 4
            self._mailbox()  # 5, 6
            self._ledger()  # 7
        return self.board

    def _begin(self) -> None:
        self._say("An instance with a helpdesk, owners of data, officers, and five suppliers; a mail server …")
        house = self._house
        file = house.keten.folder / "voters.csv"
        file.write_text("name,street\n" + "".join(f"n{one},s{one}\n" for one in range(100)), encoding="utf-8")
        house.keten.run("put", "voters", str(file))
        house.everybody("both", "admin")

    # ---- the attacks ---------------------------------------------------------------------------------------------

    def _france_travail(self) -> None:
        self._say('"This is member0, I lost my key": the helpdesk believes it …')
        house, began = self._house, time.monotonic()
        opened = house.open("member0").status == 303
        told = [house.mail.wait(f"member0@{at}", OPENED) for at in ("press.example", "home.example")]
        seconds = time.monotonic() - began
        # Phoned as "the helpdesk", the member reads out its whole letter: there is no code in it.
        given = [part for letter in told for part in PART.findall(letter.text)]
        time.sleep(_WAIT_SECONDS)  # longer than the cool-down: nobody approved
        guessed = self._guess("member0")
        stopped = house.stop(house.stop_link("member0@home.example"), "member0").status == 200  # blocked as it is
        self._wait("member0")
        codes = len(house.mail.of("member0@press.example", CODE)) + len(house.mail.of("member0@home.example", CODE))
        state = house.case().state
        late = house.approve("contact0").status, house.approve("owner").status
        keys = self._keys("member0")
        self.board.add(
            "the call of France Travail: the helpdesk is deceived, then the member is phoned",
            "the helpdesk can only open a case; there is no code to be asked for; the member ends it with one press",
            f"letters to both addresses in {seconds:.1f} s; codes out: {codes}; read out on the telephone: "
            f"{len(given)}; {guessed} of {_GUESSES} guesses looked at before the network was blocked; the case: "
            f"{state}; new keys: {keys}",
            held=opened and stopped and state == "vetoed" and 303 not in late and not (codes or given or keys),
            letters_seconds=round(seconds, 2),
            codes=codes,
            keys=keys,
        )

    def _guess(self, person: str) -> int:
        """Codes that somebody makes up; how many were looked at before its network was blocked."""
        house = self._house
        looked = 0
        for number in range(_GUESSES):
            parts = ("a" * 25 + "abcdefghijkl"[number], "b" * 25 + "abcdefghijkl"[number])
            _new, answer = house.recover(person, parts)
            looked += answer.status == 403
            if answer.status not in (403, 429, 503):
                return -1
        return looked

    def _wait(self, person: str) -> None:
        """Until the network may sign in again; then somebody does, and no failures are in a row any more."""
        self._say("… and waits until its network may try again, for it is everybody's here.")
        house = self._house
        deadline = time.monotonic() + _BLOCKED_SECONDS
        while Visitor(house.site(person)).get("/en/sign-in").status != 200 and time.monotonic() < deadline:
            time.sleep(1)
        house.browser(person).sign_in()

    def _all_factors(self) -> None:
        self._say('"This is the administrator": the helpdesk does all that it can …')
        house = self._house
        desk, target = house.browser("desk"), house.ids["admin"]
        token = desk.get("/en/keys").token
        tried = (
            f"/en/people/{target}/invite",
            f"/en/people/{target}/invite/done",
            f"/en/people/{target}/end",
            f"/en/access/person/{target}/invite",
            "/en/keys/added",
            "/en/keys/end",
        )
        done = [path for path in tried if desk.send(path, token=token, hours="72", key=target).status in (200, 303)]
        opened = house.open("admin").status == 303
        approved = [house.approve(by).status for by in ("desk", "both", "owner")]
        time.sleep(_WAIT_SECONDS)
        codes = len(house.mail.of("admin@example.org", CODE))
        kept = house.browser("admin").get("/en").status == 200
        keys = self._keys("admin")
        stopped = house.stop(house.stop_link("admin@home.example"), "admin").status == 200
        self.board.add(
            "the call at Okta's customers: all factors of an administrator are to be reset",
            "nothing at the helpdesk resets, makes or shows a key; opening a case is all; two officers approve",
            f"of {len(tried)} ways to reset a key {len(done)} did something; approvals of others: "
            f"{approved.count(303)}; codes out: {codes}; new keys: {keys}; the administrator's own key works: {kept}",
            held=opened and stopped and kept and not (done or codes or keys or 303 in approved),
            tried=len(tried),
            codes=codes,
            keys=keys,
        )

    def _insider(self) -> None:
        self._say("An insider at the helpdesk who also owns data …")
        house = self._house
        first = house.open("member1", by="both").status == 303
        case = house.case()
        own = house.approve("both", case).status
        second = house.open("contact1", by="both").status == 303
        third = house.open("deputy1", by="both").status
        frozen = "are frozen until" in house.browser("desk").get("/en/recoveries").text
        others = house.approve("contact1", case).status  # an honest one, talked into it: it is frozen
        time.sleep(_WAIT_SECONDS)
        codes = len(house.mail.of("member1@press.example", CODE)) + len(house.mail.of("contact1@press.example", CODE))
        keys = self._keys("member1") + self._keys("contact1")
        self.board.add(
            "an insider at the helpdesk who also owns data",
            "who opens does not approve; the third case of a supplier within a day freezes its recoveries",
            f"own approval: {'taken' if own == 303 else 'refused'}; third case: "
            f"{'opened' if third == 303 else 'refused'}; frozen: {frozen}; approval while frozen: "
            f"{'taken' if others == 303 else 'refused'}; codes out: {codes}; new keys: {keys}",
            held=first and second and frozen and 303 not in (own, third, others) and not (codes or keys),
            codes=codes,
            keys=keys,
        )

    def _mailbox(self) -> None:
        self._say("A stolen mailbox: the member really asked, and everybody approved in good faith …")
        house, began = self._house, time.monotonic()
        parts = house.sent("member2")
        stolen, other = parts
        # The same thief had a mailbox of somebody else as well, and the code that was sent there.
        foreign = house.sent("member3")
        wins = 0
        tries = ((stolen, stolen), (stolen, "a" * 26), (stolen, foreign[0]), (stolen, foreign[1]))
        for one in tries:
            _new, answer = house.recover("member2", one)
            wins += answer.status == 303
        keys = self._keys("member2")
        self.board.add(
            "a stolen mailbox, while the member really asked and everybody approved",
            "the code goes in two parts over two addresses; one part opens nothing",
            f"{len(tries)} codes of one part and something else: {wins} worked; new keys: {keys}",
            held=not wins and not keys,
            tries=len(tries),
            keys=keys,
        )
        new, answer = house.recover("member2", (stolen, other))  # 6
        seconds = time.monotonic() - began
        told = [house.mail.wait(f"member2@{at}", DONE) for at in ("press.example", "home.example")]
        fetched = self._fetch(new)
        self.board.add(
            "the honest member",
            "gets back in with both parts; for three days it looks and fetches nothing; every address is told",
            f"back in after {seconds:.0f} s (of seconds for days); letters: {len(told)}; files fetched: {fetched}",
            held=answer.status == 303 and len(told) == 2 and not fetched,
            seconds=round(seconds, 1),
            fetched=fetched,
        )

    def _fetch(self, who: Visitor) -> int:
        """How many of the shared files somebody gets."""
        pages = {one for one in who.get("/en").text.split('"') if one.startswith("/en/shares/")}
        files = {one for page in pages for one in who.get(page).text.split('"') if one.startswith("/en/objects/")}
        return sum(who.get(path).status == 200 for path in files) if files else -1

    def _keys(self, person: str) -> int:
        """How many passkeys somebody has beside the first one."""
        told = self._house.keten.run("person", "sessions", person)
        return len(told["keys"]) - 1

    # ---- afterwards ----------------------------------------------------------------------------------------------

    def _ledger(self) -> None:
        house = self._house
        steps = house.entries("identity.recovery.")
        verified = house.keten.command("ledger", "verify").returncode == 0
        secrets = {part for mail in house.mail.every() for part in PART.findall(mail.text)}
        secrets |= {link.rpartition("/")[2] for mail in house.mail.every() for link in STOP.findall(mail.text)}
        files = [path for path in house.keten.home.rglob("*") if path.is_file()]
        held = b"".join(path.read_bytes() for path in files) + house.keten.log().encode()
        found = sum(secret.encode() in held for secret in secrets)
        self.board.add(
            "what is left of it",
            "each step is an entry; no secret of a letter is kept anywhere",
            f"{len(steps)} entries of recoveries; the ledger {'verifies' if verified else 'does not verify'}; "
            f"{len(secrets)} secrets went out, {found} of them in {len(files)} files",
            held=verified and bool(steps) and bool(secrets) and not found,
            entries=len(steps),
            secrets=len(secrets),
            found=found,
        )
