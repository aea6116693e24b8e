"""Chapter V7 of the standard: sessions. What is asked is in words of our own, as `model.py` says."""

from __future__ import annotations

from tests.architecture.asvs.model import Requirement

_CONTROLS = "tests/architecture/test_controls_documented.py"
_DOOR = "tests/fault/test_people_at_the_door.py"
_ID_TOKENS = "tests/unit/identity/test_id_tokens.py"
_OIDC_HOSTILE = "tests/functional/test_openid_hostile.py"
_OIDC_SETTINGS = "tests/functional/test_openid_settings.py"
_OWN = "tests/fault/test_own_sessions.py"
_PAGES = "tests/architecture/test_pages.py"
_PEOPLE = "tests/functional/test_people.py"
_REVOCATION = "tests/functional/test_revocation.py"
_SEEN = "tests/unit/pages/test_seen.py"
_SESSIONS = "tests/unit/identity/test_person_sessions.py"
_TOKENS = "tests/unit/identity/test_tokens.py"

SESSIONS: tuple[Requirement, ...] = (
    Requirement(
        "V7.1.1",
        2,
        "written down how long sessions last, unused and at most, and why where NIST says otherwise",
        "met",
        "docs/formats/controls.md, Sessions: the numbers of NIST SP 800-63B-4 for AAL3 and AAL2, without deviation",
        (f"{_CONTROLS}::test_how_long_sessions_last_is_the_codes",),
    ),
    Requirement(
        "V7.1.2",
        2,
        "written down how many sessions one may have at once, and what happens then",
        "met",
        "docs/formats/controls.md, Sessions: 20, and one more ends the oldest",
        (f"{_CONTROLS}::test_every_number_is_the_codes", f"{_OWN}::test_the_oldest_of_too_many_ends"),
    ),
    Requirement(
        "V7.1.3",
        2,
        "written down which other systems have sessions of the same people, and how they go together",
        "met",
        "docs/formats/controls.md, Sessions: the provider's and Keten's, what is asked once at sign-in, and what ends "
        "which",
        (
            f"{_CONTROLS}::test_how_sessions_go_with_the_providers_is_said",
            f"{_OIDC_SETTINGS}::test_only_there_with_its_own_keys_and_then_no_more",
        ),
    ),
    Requirement(
        "V7.2.1",
        1,
        "a trusted service behind verifies sessions",
        "met",
        "the keeper, for each request; the processes that face people hold none, and may not import what would",
        (
            f"{_SEEN}::test_the_keeper_is_asked_for_the_act_each_time",
            f"{_SEEN}::test_nothing_is_shown_without_the_keeper",
            "tests/architecture/test_imports.py::test_contracts_hold",
        ),
    ),
    Requirement(
        "V7.2.2",
        1,
        "tokens are made anew, and are no standing secrets",
        "met",
        "a person's session is a new secret at each sign-in, a system's token is sealed for minutes; there are no API "
        "keys",
        (f"{_PEOPLE}::test_a_person_enrols_and_signs_in", f"{_TOKENS}::test_no_two_tokens_are_alike"),
    ),
    Requirement(
        "V7.2.3",
        1,
        "a session's secret has 128 random bits",
        "met",
        "128 bits of the operating system's, kept as a hash",
        (
            "tests/unit/core/test_ids.py::test_every_bit_is_random",
            f"{_SESSIONS}::test_a_secret_has_128_bits_and_is_kept_as_a_hash",
        ),
    ),
    Requirement(
        "V7.2.4",
        1,
        "signing in, again too, makes a new session and ends the present one",
        "met",
        "what was open in the browser ends, whoever's it was. (Signing for a dangerous act opens no session; it counts "
        "as the last assertion of the one that is there.)",
        (f"{_OWN}::test_signing_in_again_ends_what_was_open_in_that_browser_whoevers_it_was",),
    ),
    Requirement(
        "V7.3.1",
        2,
        "a session ends when it is not used",
        "met",
        "after 15 minutes or an hour, by role; a page that refreshes itself is no use",
        (
            f"{_SESSIONS}::test_it_ends_where_it_lies_still_and_at_its_end_at_the_latest",
            f"{_SEEN}::test_only_what_a_person_asks_for_keeps_a_session_open",
        ),
    ),
    Requirement(
        "V7.3.2",
        2,
        "a session has an end, used or not",
        "met",
        "after 12 or 24 hours, by role; a system's token after minutes",
        (
            f"{_SESSIONS}::test_it_ends_where_it_lies_still_and_at_its_end_at_the_latest",
            f"{_TOKENS}::test_a_token_ends_to_the_microsecond",
        ),
    ),
    Requirement(
        "V7.4.1",
        1,
        "who signed out, or whose session is over, is out",
        "met",
        "the keeper forgets it before it answers, and cuts what was begun in it",
        (
            f"{_OWN}::test_signed_out_is_out_and_others_are_ended_together",
            f"{_DOOR}::test_signing_out_cuts_what_is_under_way",
        ),
    ),
    Requirement(
        "V7.4.2",
        1,
        "whoever's account ends is out everywhere",
        "met",
        "sessions, tokens and what is under way end with the person, the system and the supplier",
        (
            f"{_PEOPLE}::test_ending_a_person_ends_its_sessions",
            f"{_REVOCATION}::test_ending_ends_tokens_and_sftp_sessions",
            f"{_DOOR}::test_a_suppliers_end_ends_what_is_under_way_and_the_session",
        ),
    ),
    Requirement(
        "V7.4.3",
        2,
        "who changes a factor may end all other sessions",
        "met",
        "one button on the page of own keys and sessions; what was opened with an ended passkey ends anyhow",
        (
            f"{_OWN}::test_signed_out_is_out_and_others_are_ended_together",
            "tests/unit/pages/test_signing.py::test_one_button_signs_out_everywhere_else",
            f"{_SESSIONS}::test_a_passkey_takes_its_sessions_along",
        ),
    ),
    Requirement(
        "V7.4.4",
        2,
        "every page has a way to sign out",
        "met",
        "a button at the top of the frame that all pages of whoever is signed in have",
        (
            f"{_PAGES}::test_every_page_has_the_frame",
            f"{_PAGES}::test_the_frame_has_a_way_out_that_no_page_takes_away",
        ),
    ),
    Requirement(
        "V7.4.5",
        2,
        "administrators can end somebody's sessions",
        "met",
        "administrators and security officers at the console, and by keten person sign-out",
        ("tests/functional/test_screens.py::test_somebody_is_signed_out_everywhere",),
    ),
    Requirement(
        "V7.5.1",
        2,
        "who one is is shown anew before what one signs in with, or is reached at, changes",
        "met",
        "adding a passkey takes an assertion, ending one an assertion or sign-in, at most 15 minutes ago; addresses "
        "are "
        "changed by an estate, with a passkey for exactly that estate",
        (
            f"{_OWN}::test_a_session_that_was_left_open_changes_no_passkey_and_ends_no_other_session",
            "tests/functional/test_estate_screen.py::test_exactly_what_was_confirmed_is_applied",
        ),
    ),
    Requirement(
        "V7.5.2",
        2,
        "one sees one's own sessions, and ends them after showing anew who one is",
        "met",
        "a page lists them; others than this one are ended after a sign-in or assertion at most 15 minutes ago",
        (
            "tests/browser/test_sign_in.py::test_another_session_is_ended_at_once",
            f"{_OWN}::test_a_session_that_was_left_open_changes_no_passkey_and_ends_no_other_session",
        ),
    ),
    Requirement(
        "V7.5.3",
        3,
        "dangerous acts take a factor anew",
        "met",
        "a passkey signs for the verb and its very content; what law 14 names takes two people",
        (
            f"{_PEOPLE}::test_an_act_takes_a_passkey_for_that_very_act",
            "tests/functional/test_api.py::test_what_takes_a_passkey_takes_it_here",
            "tests/functional/test_two_people.py::test_without_the_passkey_nothing_is_asked_or_signed",
        ),
    ),
    Requirement(
        "V7.6.1",
        2,
        "sessions here and at the provider go together as written down",
        "met",
        "one must have signed in there no longer ago than max_age; the session here has its own limits, and ends with "
        "the "
        "person and when the provider is taken out",
        (
            f"{_ID_TOKENS}::test_how_somebody_signed_in_there_is_not_enough",
            "tests/functional/test_openid.py::test_who_is_ended_is_out_at_once_and_stays_out",
            f"{_OIDC_SETTINGS}::test_only_there_with_its_own_keys_and_then_no_more",
        ),
    ),
    Requirement(
        "V7.6.2",
        2,
        "nobody is signed in without doing something",
        "met",
        "a button of this site begins it, and a passkey takes a gesture; who comes back from the provider without "
        "having begun "
        "here is refused",
        (
            f"{_OIDC_HOSTILE}::test_it_is_begun_by_a_page_of_this_site_and_leads_to_one",
            "tests/functional/test_openid.py::test_what_came_back_counts_once_and_in_its_own_browser",
        ),
    ),
)
"""Chapter V7."""
