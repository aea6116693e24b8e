"""Principals of the register, and how a row of the register ends."""

from __future__ import annotations

import msgspec

from keten.ledger.bound import BoundRow


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Access through this row is over for ever (law 6): since when (microseconds UTC), why, by whom."""

    at_us: int
    reason: str
    by: str


class EndableRow(BoundRow, frozen=True, kw_only=True):
    """A row of the register that can end. Nothing sets `ended` back: only a new id gives access again."""

    ended: Ended | None = None


class Restraint(msgspec.Struct, frozen=True, gc=False):
    """What a principal may not for a while; each part ends by itself at its moment (microseconds UTC; 0: it may).

    suspended_until_us: until then it gets no access. slowed_until_us: until then at most `per_minute` requests a
    minute. anew_us: what it signed in with up to this moment is over, and it must sign in anew. reason, by: of the
    last change.
    """

    suspended_until_us: int = 0
    slowed_until_us: int = 0
    per_minute: int = 0
    anew_us: int = 0
    reason: str = ""
    by: str = ""


class PrincipalRow(EndableRow, frozen=True, kw_only=True):
    """A row of somebody or something that acts. Being suspended is not being revoked: it ends by itself."""

    restraint: Restraint | None = None

    def suspended_at(self, now_us: int) -> bool:
        """Whether it gets no access at a moment."""
        return self.restraint is not None and now_us < self.restraint.suspended_until_us

    def slowed_at(self, now_us: int) -> int:
        """How many requests a minute it may make at a moment; 0: there is no such limit."""
        if self.restraint is None or now_us >= self.restraint.slowed_until_us:
            return 0
        return self.restraint.per_minute

    @property
    def anew_us(self) -> int:
        """Only what it signed in with after this moment holds; 0: whatever it signed in with."""
        return self.restraint.anew_us if self.restraint is not None else 0


class Confirmation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """That somebody has to say again and again that a right is still needed: every so many days.

    until_us: up to, but not at, this moment (microseconds UTC) it was said; from then on the right does not count.
    every_days 0: nobody has to now, and did before. until_us is 0 then, and left_us what was left (microseconds): it
    is all there is when somebody has to again, or whoever writes estates would confirm by taking a line out for once.
    """

    every_days: int
    until_us: int
    left_us: int = 0

    def lapsed_at(self, now_us: int) -> bool:
        """Whether nobody has said it up to a moment."""
        return bool(self.every_days) and now_us >= self.until_us


class Addresses(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `Person.sealed` holds, as JSON. second "": there is none."""

    email: str
    second: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Each of them."""
        return (self.email, self.second) if self.second else (self.email,)


class Person(PrincipalRow, frozen=True, kw_only=True):
    """A human of the organisation (`supplier` "") or of a supplier (its random id).

    sealed: base64 of the JSON of `Addresses`, sealed under the person's own subject key (law 7).
    erased: once erased, a keyed hash of the name, so that no estate file brings it back; the name is then the id.
    confirm: that its roles have to be confirmed; None: they never had. Read roles by `roles.roles_of`, which knows.
    """

    supplier: str
    sealed: str
    roles: tuple[str, ...] = ()
    erased: str = ""
    confirm: Confirmation | None = None

    @property
    def confirm_until_us(self) -> int:
        """Until when its roles were confirmed; 0: nobody has to, or not any more."""
        return self.confirm.until_us if self.confirm is not None and self.ended is None else 0

    def lapsed_at(self, now_us: int) -> bool:
        """Whether nobody has confirmed its roles up to a moment, so that they do not count."""
        return self.confirm is not None and self.confirm.lapsed_at(now_us)


class Client(PrincipalRow, frozen=True, kw_only=True):
    """A system account of a supplier (its random id).

    keys: OpenSSH public keys without comment, "ssh-ed25519 <base64>"; two while rotating. erased: as of a person.
    """

    supplier: str
    keys: tuple[str, ...]
    erased: str = ""
