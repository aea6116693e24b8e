"""People sign in at the console of a real instance, in a real browser, with its own virtual authenticator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from keten.drills.throwaway import Throwaway
from tests.browser.passkeys import Authenticators, enrol

pytestmark = pytest.mark.timeout(300)
NAMES = [f"person{number}" for number in range(20)]
ESTATE = """
organisation: {name: Rijnstad, country: NL, timezone: Europe/Amsterdam}
people:
  - {id: beheer, email: beheer@rijnstad.example, roles: [administrator]}
  - {id: balie, email: balie@rijnstad.example, roles: [helpdesk]}
""" + "".join(f"  - {{id: {name}, email: {name}@rijnstad.example, roles: [auditor]}}\n" for name in NAMES)
_names = iter(NAMES)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Throwaway]:
    """An instance with an administrator, somebody at the helpdesk, and auditors, one for each test that needs one."""
    with Throwaway(tmp_path_factory.mktemp("s")) as made:
        made.up("--gateway", "off", "--sftp", "off")
        made.apply(ESTATE)
        yield made


def link_for(instance: Throwaway, name: str) -> str:
    """A one-time link, as the administrator gets it at the command line."""
    return str(instance.run("person", "invite", name)["link"])


@contextmanager
def visiting(browser: Browser, **options: object) -> Iterator[tuple[Page, Authenticators]]:
    """A page of a browser of its own with virtual authenticators; what the browser complains of fails the test."""
    context: BrowserContext = browser.new_context(locale="en-GB", **options)  # type: ignore[arg-type]  # passed on
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, Authenticators(page)
    context.close()
    assert complaints == []


def sign_out(page: Page) -> None:
    """As a person does."""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")


def sign_in(page: Page) -> None:
    """As a person does, from the start."""
    page.get_by_role("button", name="Sign in with a passkey").click()


def test_a_link_a_passkey_and_in(instance: Throwaway, browser: Browser) -> None:
    """The first administrator: link, passkey, overview; out; in again, to the page that was asked for."""
    site = instance.ready["console"]
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        page.goto(f"{site}/en")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        enrol(page, link_for(instance, "beheer"))
        expect(page.get_by_role("heading", level=1)).to_contain_text("Who has which data of Rijnstad")
        expect(page.get_by_role("link", name="beheer")).to_be_visible()
        sign_out(page)
        page.goto(f"{site}/en/keys")
        assert page.url == f"{site}/en/sign-in?next=/keys"
        sign_in(page)
        page.wait_for_url("**/en/keys")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your keys and sessions")


def test_who_may_not_see_the_overview_lands_where_it_may_be(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        page.goto(link_for(instance, "balie"))
        page.get_by_role("button", name="Make my passkey").click()
        page.wait_for_url("**/en/keys")
        expect(page.locator("nav.menu")).to_have_count(0)


def test_an_address_leads_to_the_name_with_the_link_in_hand(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        link = link_for(instance, next(_names)).replace("localhost", "127.0.0.1")
        assert "127.0.0.1" in link
        enrol(page, link)
        assert page.url.startswith(instance.ready["console"])
