"""People sign in at the console of a real instance, in a real browser, with its own virtual authenticator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from keten.drills.throwaway import Throwaway
from tests.browser.passkeys import Authenticators, enrol

REFUSED = "Failed to load resource: the server responded with a status of"  # said of each page that is a refusal
pytestmark = pytest.mark.timeout(300)
NAMES = [f"person{number}" for number in range(30)]
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
    page.on("console", lambda message: None if REFUSED in message.text else complaints.append(message.text))
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
        page.wait_for_url("**/en/people")
        expect(page.get_by_role("link", name="Overview")).to_have_count(0)


def test_an_address_leads_to_the_name_with_the_link_in_hand(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        link = link_for(instance, next(_names)).replace("localhost", "127.0.0.1")
        assert "127.0.0.1" in link
        enrol(page, link)
        assert page.url.startswith(instance.ready["console"])


def test_a_second_passkey_takes_the_place_of_a_lost_one(instance: Throwaway, browser: Browser) -> None:
    """Another one is added, on a key; the device's own is ended, and with it what was signed in with it."""
    with visiting(browser) as (page, authenticators):
        device = authenticators.add()
        enrol(page, link_for(instance, next(_names)))
        page.locator(".who .name").click()
        expect(page.get_by_text("You have one passkey")).to_be_visible()
        expect(page.get_by_text("the last one cannot be ended")).to_be_visible()

        page.get_by_role("button", name="Add a passkey").click()
        page.get_by_role("button", name="Make the passkey").click()
        expect(page.get_by_text("This key or device has a passkey of yours already")).to_be_visible()

        authenticators.remove(device)
        key = authenticators.add("usb")
        page.get_by_role("button", name="Make the passkey").click()
        page.wait_for_url("**/en/keys")
        ends = page.get_by_role("button", name="End the passkey")
        expect(ends).to_have_count(2)
        assert len(authenticators.credentials(key)) == 1

        sign_out(page)
        page.get_by_role("link", name="To the start").click()
        sign_in(page)
        page.wait_for_url("**/en")
        page.locator(".who .name").click()
        page.get_by_role("row").filter(has_text="made on").first.get_by_role("button").click()
        expect(page.get_by_text("You have one passkey")).to_be_visible()
        assert len(instance.run("person", "sessions", page.locator(".who .name").inner_text())["keys"]) == 1


def test_another_session_is_ended_at_once(instance: Throwaway, browser: Browser) -> None:
    name = next(_names)
    with visiting(browser) as (page, authenticators), visiting(browser) as (other, others):
        device = authenticators.add()
        enrol(page, link_for(instance, name))
        synchronised = others.add()
        others.put(synchronised, authenticators.credentials(device)[0] | {"signCount": 1000})
        other.goto(f"{instance.ready['console']}/en/keys")
        sign_in(other)
        other.wait_for_url("**/en/keys")

        page.goto(f"{instance.ready['console']}/en/keys")
        page.get_by_role("button", name="End the session").click()
        expect(page.get_by_role("button", name="End the session")).to_have_count(0)
        other.reload()
        expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your keys and sessions")

        sign_in(other)
        other.wait_for_url("**/en/keys")
        page.reload()
        looked_at(page, "en")
        page.get_by_role("button", name="Sign out everywhere else").click()
        expect(page.get_by_role("button", name="Sign out everywhere else")).to_have_count(0)
        other.reload()
        expect(other.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your keys and sessions")


def test_a_link_works_once_and_a_newer_one_takes_its_place(instance: Throwaway, browser: Browser) -> None:
    name = next(_names)
    older, newer = link_for(instance, name), link_for(instance, name)
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        for link in (older, newer[:-3]):
            page.goto(link)
            expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")
            expect(page.get_by_text("Ask whoever gave it to you for a new one.")).to_be_visible()
        enrol(page, newer)
        page.goto(newer)
        expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")
        assert newer.partition("#")[2] not in page.url
        assert "#" not in page.url


def test_the_secret_of_a_link_stays_out_of_addresses_and_history(instance: Throwaway, browser: Browser) -> None:
    link = link_for(instance, next(_names))
    secret = link.partition("#")[2]
    with visiting(browser) as (page, _authenticators):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(link)
        page.locator("form[data-passkey]").wait_for()
        page.go_back()
        assert secret not in page.url
        assert not [url for url in asked if secret in url.partition("#")[0]]


def test_a_finger_that_is_not_recognised_is_said_and_may_try_again(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        device = authenticators.add()
        enrol(page, link_for(instance, next(_names)))
        sign_out(page)
        page.goto(f"{instance.ready['console']}/en/sign-in")
        authenticators.verifies(device, verified=False)
        sign_in(page)
        expect(page.get_by_text("No passkey was used.")).to_be_visible(timeout=60_000)
        authenticators.verifies(device, verified=True)
        sign_in(page)
        page.wait_for_url("**/en")


def test_a_copied_key_and_a_strange_one_are_refused_alike(instance: Throwaway, browser: Browser) -> None:
    name = next(_names)
    with visiting(browser) as (page, authenticators), visiting(browser) as (thief, thieves):
        device = authenticators.add()
        enrol(page, link_for(instance, name))
        copy = authenticators.credentials(device)[0]
        sign_out(page)
        page.goto(f"{instance.ready['console']}/en/sign-in")
        sign_in(page)
        page.wait_for_url("**/en")
        said = []
        for credential in (copy, copy | {"credentialId": "A" * 44}):
            stolen = thieves.add()
            thieves.put(stolen, credential)
            thief.goto(f"{instance.ready['console']}/en/sign-in")
            sign_in(thief)
            alert = thief.get_by_role("alert")
            expect(alert).to_be_visible()
            said.append(alert.inner_text())
            thieves.remove(stolen)
        assert said == ["Signing in did not work. Try again, or with another passkey of yours."] * 2


def test_who_is_ended_is_out_at_the_next_page(instance: Throwaway, browser: Browser) -> None:
    name = next(_names)
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        enrol(page, link_for(instance, name))
        instance.run("revoke", "person", name, "--reason", "left")
        page.goto(f"{instance.ready['console']}/en/keys")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        sign_in(page)
        expect(page.get_by_role("alert")).to_contain_text("Signing in did not work.")


def test_a_session_of_another_browser_is_none(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        enrol(page, link_for(instance, next(_names)))
        state = page.context.storage_state()
    with visiting(browser, storage_state=state, user_agent="another browser") as (page, _authenticators):
        page.goto(f"{instance.ready['console']}/en/keys")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_what_took_too_long_is_not_even_tried(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        page.goto(f"{instance.ready['console']}/en/sign-in")
        page.locator("form[data-passkey]").evaluate("form => { form.dataset.lasts = 0 }")
        sign_in(page)
        expect(page.get_by_text("This took too long. Open the page anew.")).to_be_visible()


def test_nothing_leads_elsewhere(instance: Throwaway, browser: Browser) -> None:
    with visiting(browser) as (page, authenticators):
        authenticators.add()
        enrol(page, link_for(instance, next(_names)))
        sign_out(page)
        for wanted in ("//evil.example", "https://evil.example/", "/%5Cevil.example", "/..//evil.example"):
            page.goto(f"{instance.ready['console']}/en/sign-in?next={wanted}")
            sign_in(page)
            page.wait_for_url(f"{instance.ready['console']}/en")
            sign_out(page)


def test_with_the_keyboard_alone(instance: Throwaway, browser: Browser) -> None:
    """From the link to a second passkey, out and in again; never a mouse."""
    with visiting(browser) as (page, authenticators):
        device = authenticators.add()

        def press(name: str) -> None:
            for _ in range(30):
                page.keyboard.press("Tab")
                found = page.evaluate("(document.activeElement.ariaLabel || document.activeElement.textContent).trim()")
                if found.startswith(name):
                    thick = page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
                    assert thick >= 2, f"{name}: where the focus is can't be seen"
                    page.keyboard.press("Enter")
                    return
            pytest.fail(f"{name} was not reached")

        page.goto(link_for(instance, next(_names)))
        page.locator("form[data-passkey]").wait_for()
        press("Make my passkey")
        page.wait_for_url("**/en")
        press("person")
        page.wait_for_url("**/en/keys")
        press("Add a passkey")
        page.locator("form[data-passkey]").wait_for()
        authenticators.remove(device)
        authenticators.add("usb")
        press("Make the passkey")
        page.wait_for_url("**/en/keys")
        press("End the passkey")
        page.locator("form[data-passkey='get'], table").first.wait_for()
        page.goto(f"{instance.ready['console']}/en/keys")
        press("Sign in with a passkey")
        page.wait_for_url("**/en/keys")
        press("Sign out")
        expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")


def test_without_javascript_it_is_said_and_nothing_can_fail(instance: Throwaway, browser: Browser) -> None:
    link = link_for(instance, next(_names))
    with visiting(browser, java_script_enabled=False) as (page, _authenticators):
        page.goto(f"{instance.ready['console']}/en/sign-in")
        expect(page.locator("noscript p")).to_be_visible()
        expect(page.locator("noscript p")).to_contain_text("A passkey takes JavaScript")
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_disabled()
        page.goto(link)
        page.get_by_label("What stands behind the #").fill(link.partition("#")[2])
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Make your passkey")
        expect(page.locator("noscript p")).to_be_visible()


# ---- for everyone, on any screen -------------------------------------------------------------------------------------


def looked_at(page: Page, language: str) -> None:
    """A page is accessible (WCAG by axe) and fits, on a telephone and on a screen, and says its language."""
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
    assert page.locator("html").get_attribute("lang") == language
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize(
    ("language", "scheme"),
    [
        ("nl", "dark"),
        ("en", "light"),
        pytest.param("nl", "light", marks=pytest.mark.slow),
        pytest.param("en", "dark", marks=pytest.mark.slow),
    ],
)
def test_every_page_is_accessible_and_fits(instance: Throwaway, browser: Browser, language: str, scheme: str) -> None:
    """Those of signing in, of links, of one's own keys, and what is said when something does not work."""
    site = f"{instance.ready['console']}/{language}"
    link = link_for(instance, next(_names)).replace("/enrol#", f"/{language}/enrol#")
    with visiting(browser, color_scheme=scheme) as (page, authenticators):
        device = authenticators.add()
        for path in ("/sign-in", "/enrol", "/absent"):
            page.goto(site + path)
            looked_at(page, language)
        page.goto(link)
        page.locator("form[data-passkey]").wait_for()
        looked_at(page, language)
        page.locator("form[data-passkey] button").click()
        page.wait_for_url(site)
        page.goto(f"{site}/keys")
        looked_at(page, language)
        page.locator("form[action$='/keys/add'] button").click()
        page.locator("form[data-passkey]").wait_for()
        looked_at(page, language)
        page.locator("form[data-passkey] button").click()
        page.locator("[data-when=known]").wait_for()
        looked_at(page, language)
        page.goto(link)
        page.get_by_role("link", name="Naar het begin" if language == "nl" else "To the start").wait_for()
        looked_at(page, language)
        page.goto(f"{site}/keys")
        page.locator(".who form button").click()
        page.get_by_role("heading", level=1).wait_for()
        looked_at(page, language)
        wrong = authenticators.credentials(device)[0] | {"credentialId": "B" * 44}
        authenticators.remove(device)
        authenticators.put(authenticators.add(), wrong)
        page.goto(f"{site}/sign-in")
        page.locator("form[data-passkey] button").click()
        page.get_by_role("alert").wait_for()
        looked_at(page, language)
