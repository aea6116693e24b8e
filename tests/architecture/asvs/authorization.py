"""Chapter V8 of the standard: who may do what. What is asked is in words of our own, as `model.py` says."""

from __future__ import annotations

from tests.architecture.asvs.model import Requirement

_API = "tests/functional/test_api.py"
_CONTROLS = "tests/architecture/test_controls_documented.py"
_DOOR = "tests/fault/test_people_at_the_door.py"
_ESTATE = "tests/functional/test_estate_screen.py"
_LOOKUPS = "tests/functional/test_lookups.py"
_PORTAL = "tests/functional/test_portal.py"
_PORTAL_SCREENS = "tests/unit/portal/test_screens.py"
_SCREENS = "tests/functional/test_screens.py"
_SPINE = "tests/functional/test_spine.py"
_USERS = "tests/functional/test_users.py"
_WATCHING = "tests/functional/test_watching.py"
_WORK = "tests/functional/test_people_at_work.py"

AUTHORIZATION: tuple[Requirement, ...] = (
    Requirement(
        "V8.1.1",
        1,
        "written down who may do what with which data",
        "met",
        "the manual's table of roles and docs/formats/policies.md, both made from the code",
        (
            "tests/architecture/test_roles_documented.py::test_the_manual_has_the_table_of_roles",
            "tests/unit/policy/test_policies.py::test_the_page_of_policies_is_as_shipped",
        ),
    ),
    Requirement(
        "V8.1.2",
        2,
        "written down who may see and change which field",
        "met",
        "docs/formats/controls.md, Who may see or change which field, a test for each",
        (f"{_CONTROLS}::test_of_each_field_that_not_everybody_sees_a_test_is_named",),
    ),
    Requirement(
        "V8.1.3",
        3,
        "written down which circumstances count",
        "met",
        "docs/formats/controls.md, What of the circumstances counts, and the detectors' list",
        (
            f"{_CONTROLS}::test_every_circumstance_of_a_decision_is_documented",
            "tests/unit/watch/test_documents.py::test_every_detector_is_in_the_list_with_its_facts",
        ),
    ),
    Requirement(
        "V8.1.4",
        3,
        "written down past what they count, and what is done then",
        "met",
        "the same table, and the manual's ladder: note, alert, slow, sign in anew, suspend, freeze",
        (
            f"{_CONTROLS}::test_whatever_is_unusual_is_documented",
            f"{_CONTROLS}::test_every_number_is_the_codes",
            "tests/unit/watch/test_documents.py::test_the_built_in_ladder_is_in_the_manual",
        ),
    ),
    Requirement(
        "V8.2.1",
        1,
        "only who may, does",
        "met",
        "one table of acts and roles, asked for each request: all roles × all screens and operations are walked",
        (
            f"{_SCREENS}::test_a_role_sees_what_the_table_says_and_nothing_else",
            f"{_API}::test_a_role_does_what_the_table_says_and_nothing_else",
            f"{_PORTAL_SCREENS}::test_each_role_gets_the_screens_of_its_acts_alone",
        ),
    ),
    Requirement(
        "V8.2.2",
        1,
        "nobody reaches another's data by its id",
        "met",
        "each object is decided on by its grant; absent and forbidden are answered alike",
        (
            f"{_SPINE}::test_absent_forbidden_and_guessed_look_alike",
            f"{_PORTAL}::test_another_suppliers_objects_are_absent",
            f"{_PORTAL}::test_foreign_and_absent_people_are_alike",
            f"{_SCREENS}::test_a_data_owner_has_its_own_datasets_alone",
        ),
    ),
    Requirement(
        "V8.2.3",
        2,
        "nobody sees or changes a field that is not for him",
        "met",
        "lookups give the grant's columns; addresses and secrets leave for nobody; a supplier manager's estate changes "
        "nothing of the organisation's own",
        (
            f"{_LOOKUPS}::test_one_record_of_the_granted_columns",
            f"{_ESTATE}::test_the_present_estate_is_a_file_without_addresses",
            f"{_ESTATE}::test_who_manages_suppliers_gives_nobody_of_the_organisation_a_role",
            "tests/unit/console/test_told.py::test_no_secret_is_among_what_is_shown",
        ),
    ),
    Requirement(
        "V8.2.4",
        3,
        "circumstances count as written down, at sign-in and later",
        "met",
        "networks and failures at sign-in; browser, country, contract, amount and pace at each request, by decision "
        "and watch",
        (
            "tests/functional/test_people.py::test_ten_failures_block_the_network_and_no_other",
            f"{_DOOR}::test_another_browser_another_face_and_a_closed_session_open_nothing",
            "tests/unit/policy/test_policies.py::test_one_change_is_refused_for_its_own_reason",
            f"{_WATCHING}::test_a_signal_suspends_cuts_and_feedback_gives_access_back",
            f"{_WATCHING}::test_responses_end_sessions_over_sftp",
        ),
    ),
    Requirement(
        "V8.3.1",
        1,
        "it is enforced behind, by nothing that a caller could change",
        "met",
        "by the keeper, which alone has keys and register; screens work without scripts, and what faces ask without a "
        "caller's proof is refused",
        (
            f"{_USERS}::test_without_a_callers_proof_nothing_opens",
            "tests/browser/test_screens.py::test_no_screen_needs_scripts",
            f"{_PORTAL_SCREENS}::test_the_screens_load_nothing_that_decides_or_remembers",
        ),
    ),
    Requirement(
        "V8.3.2",
        3,
        "what changes counts at once",
        "met",
        "roles, ends and keys count for the next request, and cut what is under way",
        (
            f"{_WORK}::test_a_role_that_goes_is_gone_at_the_next_request",
            "tests/functional/test_revocation.py::test_a_revoked_grant_cuts_the_download_and_stays_revoked",
            "tests/unit/identity/test_service.py::test_taking_a_key_out_ends_its_tokens_and_no_others",
        ),
    ),
    Requirement(
        "V8.3.3",
        3,
        "whose request it is counts, not what passes it on",
        "met",
        "gateway and console pass the caller's own proof on, and the keeper decides by it; they have no rights of "
        "their own",
        (
            f"{_USERS}::test_without_a_callers_proof_nothing_opens",
            f"{_USERS}::test_no_entry_names_a_caller_whose_proof_it_has_not_got",
            f"{_WORK}::test_who_was_refused_is_named_as_who_acts",
        ),
    ),
    Requirement(
        "V8.4.1",
        2,
        "nobody reaches another tenant",
        "met",
        "suppliers are what is kept apart in one instance; an instance is of one organisation, whose units are not "
        "kept apart",
        (
            f"{_PORTAL}::test_another_suppliers_objects_are_absent",
            f"{_PORTAL}::test_foreign_and_absent_people_are_alike",
            f"{_DOOR}::test_a_member_does_not_see_what_the_suppliers_system_did",
        ),
    ),
    Requirement(
        "V8.4.2",
        3,
        "what administers has several layers: who it is again and again, the state of the device, the risk of the "
        "moment",
        "not met",
        "the first and part of the third: each request asks for session, browser and role, each dangerous act for a "
        "passkey, "
        "some for two people; a network gives nobody a right",
        (
            "tests/functional/test_people.py::test_an_act_takes_a_passkey_for_that_very_act",
            f"{_SCREENS}::test_nobody_sees_anything_without_signing_in",
        ),
        reason="The state of the device is not looked at: whether it is managed, encrypted, up to date. A browser "
        "proves none "
        "of that to Keten; the organisation's provider or network can ask for it before anybody gets here (oidc.only "
        "with "
        "an acr of such a level). How unusual place and hour of somebody at the console are is not weighed either.",
    ),
)
"""Chapter V8."""
