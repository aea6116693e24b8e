"""Chapter V6 of the standard: authentication. What is asked is in words of our own, as `model.py` says."""

from __future__ import annotations

from typing import Literal

from tests.architecture.asvs.model import Requirement

_ALIKE = "tests/functional/test_sign_in_alike.py"
_API = "tests/functional/test_api.py"
_CEREMONIES = "tests/unit/identity/test_ceremonies.py"
_CONTROLS = "tests/architecture/test_controls_documented.py"
_ID_TOKENS = "tests/unit/identity/test_id_tokens.py"
_IDS = "tests/unit/core/test_ids.py"
_LETTERS = "tests/fault/test_account_letters.py"
_OIDC = "tests/functional/test_openid.py"
_OIDC_HOSTILE = "tests/functional/test_openid_hostile.py"
_OWN = "tests/fault/test_own_sessions.py"
_PAGES = "tests/architecture/test_pages.py"
_PEOPLE = "tests/functional/test_people.py"
_RECOVERY = "tests/functional/test_recovery.py"
_RECOVERY_SERVICE = "tests/unit/identity/test_recovery_service.py"
_SEARCH = "tests/unit/identity/test_recovery_search.py"
_SIGN_IN_BROWSER = "tests/browser/test_sign_in.py"
_TWO = "tests/functional/test_two_people.py"

_NO_PASSWORD = (
    "There is no password: people show passkeys or come from the organisation's provider, systems sign by keys."
)
_NO_PASSWORD_TESTS = (
    f"{_PAGES}::test_no_page_asks_for_a_password",
    "tests/unit/identity/test_ssh.py::test_a_password_request_is_no_public_key_request",
)


def _password(number: int, level: Literal[1, 2], asks: str) -> Requirement:
    """One of the requirements about passwords."""
    return Requirement(f"V6.2.{number}", level, asks, "does not apply", tests=_NO_PASSWORD_TESTS, reason=_NO_PASSWORD)


AUTHENTICATION: tuple[Requirement, ...] = (
    Requirement(
        "V6.1.1",
        1,
        "written down how guessing is slowed, how that is set, and why nobody can be locked out by it",
        "met",
        "docs/formats/controls.md, Guessing and flooding: a network waits, never an account",
        (f"{_CONTROLS}::test_every_number_is_the_codes",),
    ),
    Requirement(
        "V6.1.2",
        2,
        "a list of words that no password may hold",
        "does not apply",
        tests=_NO_PASSWORD_TESTS,
        reason=_NO_PASSWORD,
    ),
    Requirement(
        "V6.1.3",
        2,
        "every way in written down, with its strength",
        "met",
        "docs/formats/controls.md, Ways in: each verb of the keeper that gives a session or a token",
        (f"{_CONTROLS}::test_every_way_in_is_documented_and_no_other",),
    ),
    _password(1, 1, "passwords of 8 characters at least"),
    _password(2, 1, "one can change one's password"),
    _password(3, 1, "changing it takes the old one"),
    _password(4, 1, "none of the 3,000 commonest passwords"),
    _password(5, 1, "any characters in passwords"),
    _password(6, 1, "password fields are masked"),
    _password(7, 1, "pasting and password managers work"),
    _password(8, 1, "passwords are compared as they were typed"),
    _password(9, 2, "passwords of 64 characters are taken"),
    _password(10, 2, "no password has to be changed from time to time"),
    _password(11, 2, "the list of words is used"),
    _password(12, 2, "no password that is known to have leaked"),
    Requirement(
        "V6.3.1",
        1,
        "guessing is slowed as written down",
        "met",
        "ten failures in a row block their network, for a minute and then twice as long each time; links, codes and "
        "the "
        "provider's answers count too",
        (
            f"{_PEOPLE}::test_ten_failures_block_the_network_and_no_other",
            f"{_ALIKE}::test_after_ten_failures_the_network_waits_whoever_it_is",
            f"{_PEOPLE}::test_ten_wrong_links_or_codes_block_the_network_too",
            f"{_OIDC_HOSTILE}::test_ten_failures_in_a_row_and_the_network_waits",
        ),
    ),
    Requirement(
        "V6.3.2",
        1,
        "no accounts that are there by default",
        "met",
        "a new instance knows no person and no system account",
        (f"{_PEOPLE}::test_a_new_instance_knows_nobody",),
    ),
    Requirement(
        "V6.3.3",
        2,
        "more than one factor; at level 3 one in hardware, safe from phishing, that somebody has to touch",
        "met",
        "a passkey verifies its user, is bound to the site's address, and counts only with both; through the provider "
        "what "
        "acr or amr ask (doctor says when neither is set), and what gives or ends access takes a passkey all the same",
        (
            f"{_PEOPLE}::test_a_lie_is_answered_like_every_other",
            f"{_ID_TOKENS}::test_how_somebody_signed_in_there_is_not_enough",
            f"{_OIDC}::test_a_dangerous_act_takes_a_passkey_all_the_same",
        ),
        level_3="Passkeys may be synchronised ones, and no attestation is asked for: that a key lies in hardware is "
        "not "
        "enforced. And where [oidc] is set without acr or amr, the provider may let staff read with one factor.",
    ),
    Requirement(
        "V6.3.4",
        2,
        "no way in that is not written down, and the same controls on each",
        "met",
        "the list of ways in is compared with the keeper's verbs; role, dangerous acts and two people are looked at "
        "behind "
        "all of them, at /api too. At the command line the operating system says who it is, and two people sign all "
        "the "
        "same",
        (
            f"{_CONTROLS}::test_every_way_in_is_documented_and_no_other",
            f"{_CONTROLS}::test_no_other_answer_holds_a_session_or_a_token",
            f"{_API}::test_what_takes_a_passkey_takes_it_here",
            f"{_TWO}::test_the_command_line_opens_it_and_two_people_sign",
        ),
    ),
    Requirement(
        "V6.3.5",
        3,
        "people hear of suspicious attempts on their account",
        "met",
        "a letter to each address, where [mail] is set: a passkey whose count went back, one that was ended, a session "
        "in "
        "another browser, a sign-in from a network on the organisation's list",
        (
            f"{_LETTERS}::test_what_somebody_else_may_be_behind_is_told_once_a_day",
            f"{_LETTERS}::test_a_sign_in_from_a_listed_network_is_told",
        ),
    ),
    Requirement(
        "V6.3.6",
        3,
        "e-mail is no factor of signing in",
        "met",
        "no way in is by e-mail; recovering an account uses parts of a code at two addresses beside two people who "
        "approve "
        "with passkeys, and one mailbox gives nothing",
        (
            f"{_CONTROLS}::test_every_way_in_is_documented_and_no_other",
            f"{_RECOVERY_SERVICE}::test_one_mailbox_is_not_enough_and_a_part_counts_once",
        ),
    ),
    Requirement(
        "V6.3.7",
        3,
        "people hear when what they sign in with, or their address, changes",
        "met",
        "a letter to each address when a passkey is added or ended, to the former one when an address changes, where "
        "[mail] "
        "is set",
        (
            f"{_LETTERS}::test_a_passkey_that_comes_or_goes_is_told_at_every_address",
            f"{_LETTERS}::test_it_is_told_also_when_nobody_takes_letters_at_first_and_the_keeper_starts_anew",
            f"{_RECOVERY}::test_a_changed_address_is_told_over_the_former_one",
        ),
    ),
    Requirement(
        "V6.3.8",
        3,
        "failures do not tell who exists, by text, status or time",
        "met",
        "every failure is answered alike after the same time, at links and recovery too; nobody is named before a "
        "passkey "
        "is shown",
        (
            f"{_ALIKE}::test_every_failure_is_answered_alike",
            f"{_ALIKE}::test_the_protocol_names_nobody_before_a_passkey_is_shown",
            "tests/unit/keeper/test_evenly.py::test_a_refusal_comes_when_it_always_comes",
            "tests/unit/identity/test_service.py::test_unknown_and_wrong_key_look_alike",
        ),
    ),
    Requirement(
        "V6.4.1",
        1,
        "first secrets are random, end soon or once used, and do not stay",
        "met",
        "a one-time link of 128 random bits, for 72 hours unless said otherwise and 14 days at most, once, of which a "
        "hash "
        "is kept; what stays is the passkey that it makes",
        (
            f"{_OWN}::test_a_link_ends_by_its_time_and_is_kept_as_a_hash",
            f"{_PEOPLE}::test_a_link_works_once_and_only_the_newest",
            f"{_IDS}::test_every_bit_is_random",
        ),
    ),
    Requirement(
        "V6.4.2",
        1,
        "no hints and no questions that only one knows the answer to",
        "met",
        "the pages for whoever it is ask for one-time secrets and what a passkey answers, and for nothing else",
        (
            f"{_PAGES}::test_who_is_not_signed_in_is_asked_for_nothing_that_is_known_by_heart",
            f"{_PAGES}::test_no_page_asks_for_a_password",
        ),
    ),
    Requirement(
        "V6.4.3",
        2,
        "getting back in bypasses no factor",
        "met",
        "what is recovered is a passkey, which verifies its user like any other; no order of steps with one corrupt "
        "person "
        "ends with a stranger's",
        (
            f"{_SEARCH}::test_no_order_of_steps_ends_with_a_strangers_key",
            f"{_RECOVERY}::test_the_whole_way_and_what_may_be_done_afterwards",
        ),
    ),
    Requirement(
        "V6.4.4",
        2,
        "who lost a factor is identified as well as at first",
        "met",
        "better than at first: at first one person invites; getting back takes two who are told to approve only whom "
        "they "
        "saw or called themselves, and who sign with passkeys, two addresses of before, and a wait in which the person "
        "can stop it",
        (
            f"{_RECOVERY}::test_who_may_not_approve",
            f"{_RECOVERY}::test_what_was_signed_is_this_case_and_this_person",
            "tests/unit/identity/test_recovery_rules.py::test_no_code_without_every_notice",
        ),
    ),
    Requirement(
        "V6.4.5",
        3,
        "whoever's factor is about to end hears of it in time",
        "does not apply",
        reason="Passkeys, systems' keys and SSH keys have no date on which they end; one-time links do, and are no "
        "factor: "
        "who lets one lapse gets another.",
    ),
    Requirement(
        "V6.4.6",
        3,
        "who helps may begin a reset, and never learns or sets the secret",
        "met",
        "the helpdesk opens a case and can do no more; no verb, page, command or entry says a code",
        (
            f"{_RECOVERY}::test_the_helpdesk_opens_and_nobody_else_and_not_for_everybody",
            f"{_RECOVERY}::test_no_answer_and_no_entry_holds_a_secret",
            f"{_RECOVERY}::test_no_verb_of_a_recovery_can_say_one",
        ),
    ),
    Requirement(
        "V6.5.1",
        2,
        "codes work once",
        "met",
        "parts of a code and links are used up in the transaction of what they give",
        (
            f"{_RECOVERY}::test_a_code_counts_once_also_for_two_at_once",
            f"{_PEOPLE}::test_a_link_works_once_and_only_the_newest",
            f"{_CEREMONIES}::test_it_is_good_once",
        ),
    ),
    Requirement(
        "V6.5.2",
        2,
        "codes are kept hashed, short ones salted",
        "met",
        "all have 128 random bits, more than the 112 from which a plain hash will do: SHA-256",
        (
            f"{_OWN}::test_a_link_ends_by_its_time_and_is_kept_as_a_hash",
            f"{_RECOVERY_SERVICE}::test_no_secret_and_no_address_is_in_the_ledger_in_the_clear",
            f"{_IDS}::test_16_bytes_there_and_back",
        ),
    ),
    Requirement(
        "V6.5.3",
        2,
        "codes come from a good random generator",
        "met",
        "the operating system's",
        (f"{_IDS}::test_every_bit_is_random", f"{_IDS}::test_fresh_ones_differ"),
    ),
    Requirement(
        "V6.5.4",
        2,
        "codes have 20 random bits at least",
        "met",
        "128, each part of a code too",
        (f"{_IDS}::test_16_bytes_there_and_back", f"{_IDS}::test_every_bit_is_random"),
    ),
    Requirement(
        "V6.5.5",
        2,
        "codes over another channel work for ten minutes at most",
        "not met",
        "what is signed at sign-in works for five minutes",
        (f"{_CEREMONIES}::test_for_something_else_it_is_used_up_and_no_good",),
        reason="The two parts of a recovery's code work for 24 hours (recovery.code), as NIST SP 800-63B-4, section "
        "4.2, "
        "allows for codes by mail: one reads two mailboxes, maybe at work and at home. Each part has 128 random bits, "
        "works once, "
        "and after two people approved. Signing in uses no such code.",
    ),
    Requirement(
        "V6.5.6",
        3,
        "a lost or stolen factor can be taken back",
        "met",
        "people end their passkeys, and what was opened with one ends; ending the person ends all; a system's key that "
        "is "
        "taken out is over at once",
        (
            f"{_SIGN_IN_BROWSER}::test_a_second_passkey_takes_the_place_of_a_lost_one",
            f"{_PEOPLE}::test_ending_a_person_ends_its_sessions",
            "tests/unit/identity/test_service.py::test_taking_a_key_out_ends_its_tokens_and_no_others",
        ),
    ),
    Requirement(
        "V6.5.7",
        3,
        "biometrics only beside another factor",
        "met",
        "a finger or face unlocks the passkey on its device and is worth nothing without the key's signature",
        (f"{_PEOPLE}::test_a_lie_is_answered_like_every_other",),
    ),
    Requirement(
        "V6.5.8",
        3,
        "codes by time go by a trusted clock",
        "does not apply",
        reason="There are no codes by time (TOTP).",
    ),
    Requirement(
        "V6.6.1",
        2,
        "codes by telephone only beside better ways; at level 3 not at all",
        "does not apply",
        reason="Nothing goes by telephone or SMS.",
    ),
    Requirement(
        "V6.6.2",
        2,
        "codes over another channel are of the one request that they were made for",
        "met",
        "a part is of its case, parts of two cases are no code; a challenge is of its purpose, act and browser",
        (
            f"{_RECOVERY_SERVICE}::test_parts_of_two_cases_are_no_code",
            f"{_CEREMONIES}::test_a_challenge_is_of_its_purpose_and_act",
        ),
    ),
    Requirement(
        "V6.6.3",
        2,
        "codes over another channel are not to be guessed",
        "met",
        "a wrong one is a failed sign-in of its network, of which ten in a row block it; each part has 128 random bits",
        (
            f"{_PEOPLE}::test_ten_wrong_links_or_codes_block_the_network_too",
            f"{_IDS}::test_every_bit_is_random",
        ),
    ),
    Requirement(
        "V6.6.4",
        3,
        "nobody is worn down by notices to approve",
        "does not apply",
        reason="There are no push notices to approve: one signs for what one asked for oneself, in the same browser.",
    ),
    Requirement(
        "V6.7.1",
        3,
        "the public keys that signatures are verified with cannot be changed unseen",
        "met",
        "each row of a passkey or system's key is compared with its entry in the ledger, and counts for nothing when "
        "it is "
        "another; which keys of the provider are believed is an entry",
        (
            f"{_OWN}::test_a_passkey_that_somebody_changed_in_the_database_signs_nobody_in",
            "tests/unit/identity/test_service.py::test_a_register_that_does_not_match_the_ledger_is_passed_on",
            f"{_OIDC_HOSTILE}::test_a_new_key_is_looked_for_once_and_recorded",
        ),
    ),
    Requirement(
        "V6.7.2",
        3,
        "challenges have 64 bits and are never the same",
        "met",
        "256, from the operating system, of which a hash with purpose and act is signed",
        (f"{_CEREMONIES}::test_challenges_are_of_256_bits_and_never_the_same",),
    ),
    Requirement(
        "V6.8.1",
        2,
        "of several providers none can speak for another's people",
        "does not apply",
        tests=(
            f"{_ID_TOKENS}::test_a_claim_that_is_not_so",
            f"{_OIDC_HOSTILE}::test_another_providers_answer_and_none_at_all",
        ),
        reason="There is one provider at most. Answers and tokens of another issuer are refused.",
    ),
    Requirement(
        "V6.8.2",
        2,
        "signatures of a provider's assertions are there and verified",
        "met",
        "by an algorithm with a public key that the settings allow; none and HMAC cannot be among these",
        (
            f"{_ID_TOKENS}::test_no_signature_and_a_signature_by_what_everybody_knows",
            f"{_ID_TOKENS}::test_no_changed_byte_holds",
            f"{_ID_TOKENS}::test_an_algorithm_that_the_settings_do_not_name",
        ),
    ),
    Requirement(
        "V6.8.3",
        2,
        "SAML assertions count once",
        "does not apply",
        tests=(f"{_OIDC}::test_what_came_back_counts_once_and_in_its_own_browser",),
        reason="There is no SAML. What comes back over OpenID Connect counts once.",
    ),
    Requirement(
        "V6.8.4",
        2,
        "how and when one signed in at the provider is verified, or the least is assumed",
        "met",
        "acr, amr and auth_time by the settings; whatever they say, a provider's word confirms no act that gives or "
        "ends "
        "access",
        (
            f"{_OIDC}::test_required_methods_must_have_been_used",
            f"{_ID_TOKENS}::test_how_somebody_signed_in_there_is_not_enough",
            f"{_OIDC}::test_a_dangerous_act_takes_a_passkey_all_the_same",
        ),
    ),
)
"""Chapter V6."""
