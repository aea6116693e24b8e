"""What an error says to a reader and what to do about it, by its code: the keeper's own sentences are English only."""

from __future__ import annotations

from keten.pages.words import N_

SAYINGS: dict[str, str] = {
    # This site
    "foreign-form": N_(
        "This form did not come from a page of this site, or is of an earlier visit. Open the page anew."
    ),
    "form": N_("The form could not be read."),
    "form-size": N_("This is larger than a page of this site takes."),
    "not-found": N_("It is not there, or not for you to see."),
    "absent": N_("It is not there, or not for you to see."),
    "act": N_("None of your roles allows this. Ask an administrator if you need it."),
    "not-allowed": N_("None of your roles allows this. Ask an administrator if you need it."),
    "no-name": N_("Passkeys do not work at this address. Ask whoever runs this system for its address by name."),
    "origin": N_("This site does not have an address at which passkeys work. Ask whoever runs this system."),
    "no-origin": N_("This site does not have an address at which passkeys work. Ask whoever runs this system."),
    # The keeper
    "keeper-unreachable": N_("The keeper cannot be reached. Ask whoever runs this system."),
    "keeper-gone": N_("The keeper stopped before it answered. Look whether it was done before you try again."),
    "keeper-error": N_("Something went wrong in the keeper. Look whether it was done before you try again."),
    "keeper-busy": N_("Too much is asked at once. Try again in a moment."),
    "too-many-at-once": N_("Too much is asked at once. Try again in a moment."),
    "too-many-ceremonies": N_("Too much is asked at once. Try again in a moment."),
    "register-changed": N_("Somebody else changed something meanwhile. Look at the difference again."),
    "estate-inside": N_(
        "Some of this changes the organisation's own people, systems or datasets, which an administrator does. Nothing "
        "was changed."
    ),
    "no-base": N_("Somebody else changed something meanwhile. Look at the difference again."),
    "register-changing": N_("Too much is asked at once. Try again in a moment."),
    "stopping": N_("The keeper is stopping. Try again in a moment."),
    "not-recorded": N_("It could not be recorded, so it was not done. Ask whoever runs this system."),
    "disk-reserve": N_("The disk is nearly full: only ending access still works. Ask whoever runs this system."),
    "clock-jumped": N_("The clock of the machine jumped; nothing is served until somebody has looked at it."),
    "register-mismatch": N_("A row does not hold, so nothing is done with it. Ask whoever runs this system."),
    "personal-damaged": N_("A row does not hold, so nothing is done with it. Ask whoever runs this system."),
    "malformed": N_("This could not be read. Open the page anew, and tell whoever runs this system if it stays so."),
    "unknown-verb": N_("This could not be read. Open the page anew, and tell whoever runs this system if it stays so."),
    "page-failed": N_("Something went wrong here, and was noted. Try again, or ask whoever runs this system."),
    "cursor": N_("This page of the list does not go on from here any more. Begin at the first one."),
    "too-many-parallel": N_("You have too many downloads at once. Wait until one is finished."),
    # Signing in
    "sign-in-failed": N_("Signing in did not work. Try again, or with another passkey of yours."),
    "sign-in-blocked": N_("Signing in failed too often from your network. Wait a while; it goes on by itself."),
    "provider-unreachable": N_(
        "Your organisation’s own sign-in page cannot be reached now. Try again in a moment, or use your passkey."
    ),
    "provider-wrong": N_(
        "Your organisation’s own sign-in page is not well set up with this system. Tell whoever runs this system."
    ),
    "provider-unset": N_("One signs in here with a passkey only."),
    "link-invalid": N_("It was used before, is over, or is not whole. Ask whoever gave it to you for a new one."),
    "ceremony-over": N_("This took too long, or was begun in another window. Try again."),
    "passkey-invalid": N_("The passkey could not be verified. Try again, or take another one."),
    "no-passkey": N_(
        "This takes a passkey, and you have none. Ask whoever looks after people here for a one-time link."
    ),
    "step-up": N_("This takes a fresh confirmation with your passkey: sign out, sign in with it, and do it then."),
    # Own keys and sessions; other people
    "last-key": N_("This is your only passkey. Add another one before you end it."),
    "too-many-passkeys": N_("You have as many passkeys as one person may have. End one first."),
    "no-sessions": N_("This person is not signed in anywhere."),
    "has-passkey": N_("This person has a passkey already, and adds others without a link."),
    "own-self": N_("You cannot end yourself. Another contact of your organisation can, or whoever shares with you."),
    "end-reason": N_("Say in a few words why this person's access ends."),
    "no-role": N_("This person has no role. Give one in the estate file first."),
    "unknown-name": N_("There is nothing of that name in the register."),
    "ended": N_("This has ended already."),
    "hours": N_("A link holds for 1 to 336 hours."),
    # Getting back in
    "recovered-lately": N_("You came back with a code lately. For a while you may look, and change or fetch nothing."),
    "recovery-open": N_("A recovery of this person is under way already."),
    "recovery-frozen": N_("Recoveries there are frozen for a while: there were too many at once."),
    "recovery-channels": N_(
        "This person has no two addresses that were there a month ago. End the account and enter it anew, with "
        "everything proven as at first."
    ),
    "recovery-no-owner": N_("Nobody who may approve owns what this person may reach."),
    "recovery-over": N_("This case is not open any more."),
    "recovery-new": N_("Your role or passkey was not there a month before this case. Somebody else has to approve."),
    "recovery-not-yours": N_("This is not yours to do: somebody else has to."),
    "no-letters": N_("Letters cannot be sent now, and without them nobody gets back in. Ask whoever runs this system."),
    "people-only": N_("People do this, signed in, with their passkeys."),
    # Two people
    "second-person": N_("You have signed for this already. Another person has to sign too."),
    "act-changed": N_("What was signed is not what would be done. Open the page anew, and look at it again."),
    "request-over": N_("This does not wait any more: it was carried out, refused, or has lapsed."),
    "held": N_("A legal hold keeps it. It can be done when that is released or over."),
    "basis": N_("A legal basis is one line of at most 200 characters."),
    "people-sign": N_("Two people sign for this here, each with a passkey."),
    # Acts
    "cut-unconfirmed": N_(
        "Access has ended. One gateway has not confirmed yet that it cut what was under way: do it again in a moment."
    ),
    "reason": N_("Say why, in one line of at most 500 characters."),
    "note": N_("Say why, in one line of at most 500 characters."),
    "action": N_("This cannot be done with it."),
    "kind": N_("This cannot be done with it."),
    "others-data": N_(
        "It would give back access to data of other owners as well, so only a security officer can do that."
    ),
    "alert-closed": N_("This alert was closed already."),
    "until": N_("That moment cannot be: it is over, or too far away."),
    "request-closed": N_("The request was answered already, or has lapsed."),
    "budget-changed": N_("The grant has no such budget any more."),
    "more-records": N_("So many records cannot be allowed."),
    "more-why": N_("Say why, in one line of at most 500 characters."),
    "past-ceiling": N_("The ceiling in the estate file is lower."),
    "unknown-entry": N_("There is no such entry in this ledger."),
    "not-published": N_("This entry is not in the public ledger yet. Try again in a moment."),
    "not-a-decision": N_("This entry is not of a decision."),
    "entry-erased": N_("What this entry recorded has been erased."),
    "policy-set-unknown": N_("The policies of that time are not kept here."),
    "policy-set-damaged": N_("The policies of that time are not as they were recorded."),
}
