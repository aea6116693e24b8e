"""From an error to an exit code and to what one can do next. The only place where either is said."""

from __future__ import annotations

from keten.core.errors import KetenError

DONE = 0
NO = 1  # the answer is no: denied, a proof does not hold, findings
WRONG_USE = 2
UNAVAILABLE = 3
CORRUPT = 4
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

BY_CATEGORY = {
    "denied": NO,
    "not-found": NO,
    "invalid": WRONG_USE,
    "conflict": WRONG_USE,
    "busy": UNAVAILABLE,
    "unavailable": UNAVAILABLE,
    "internal": UNAVAILABLE,
    "corrupt": CORRUPT,
}

NEXT_STEPS = {
    "keeper-unreachable": "Start the instance with 'keten up', and look at 'keten doctor'.",
    "keeper-gone": "Look at 'keten status' and at what the keeper said; then do it again.",
    "not-an-operator": "Name the user there (keten.toml) and start the keeper anew; or do it as a user who is named.",
    "keeper-forbidden": "Put it in that group (it counts from the next sign-in) and in [keeper] operator_users.",
    "has-passkey": "'keten person sessions' shows which. Whoever lost the only one is ended ('keten revoke person'), "
    "and then declared under another id and invited.",
    "no-role": "Add roles: […] to the person in the estate file, and apply it.",
    "cannot-listen": "Choose another port with --gateway, --sftp or --console HOST:PORT; port 0 picks a free one.",
    "name-taken": "With --replace it takes the place of the old content, which is then destroyed.",
    "wrong-passphrase": "Check [keeper] passphrase_file in keten.toml.",
    "database-damaged": "Stop the instance, keep a copy of its folder, and see 'keten ledger verify'.",
    "register-mismatch": "Nothing is given out through it. 'keten ledger verify' names every row that does not hold; "
    "to end access for good, revoke what it belongs to: its supplier, contract or grant.",
    "clock-jumped": "See 'keten doctor'; once the clock is right: 'keten doctor --accept-clock'.",
    "fsync-failed": "Check the disk (dmesg, SMART); nothing is written until the process starts again.",
}


def exit_code(error: KetenError) -> int:
    """The exit code for an error."""
    return BY_CATEGORY.get(error.category, UNAVAILABLE)


def next_step(error: KetenError) -> str:
    """What to do about an error, where there is more to say than its own text; else ""."""
    return NEXT_STEPS.get(error.code, "")
