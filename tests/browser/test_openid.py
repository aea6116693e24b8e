"""Staff sign in through a real provider of another site, in a real browser, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from keten.drills.throwaway import Throwaway
from tests.browser.looks import one_look
from tests.functional import organisation as at
from tests.openid import PASSWORD, Provider, Setup, free_port

pytestmark = pytest.mark.timeout(300)


class Work(msgspec.Struct):
    """The instance and its provider."""

    instance: Throwaway
    provider: Provider

    @property
    def site(self) -> str:
        """The console."""
        return str(self.instance.ready["console"])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """The provider is at 127.0.0.1: for a browser another site than localhost, so "strict" cookies are tried too."""
    folder, port = tmp_path_factory.mktemp("w"), free_port()
    issuer = f"http://127.0.0.1:{port}"
    more = f'name = "Rijnstad"\naudience = "{issuer}/oauth/token"\ntrust_email = true'
    with at.instance(folder / "keten", issuer, more) as made:
        people = {name: f"{name}@rijnstad.example" for name in at.STAFF}
        setup = Setup(f"{made.ready['console']}/sign-in/answer", people, at.state(made).keys, host="127.0.0.1")
        with Provider(setup, folder / "provider.log", port) as provider:
            yield Work(made, provider)


def at_the_provider(page: Page, user: str) -> None:
    """Its own pages, filled in."""
    page.locator("[name=login]").fill(user)
    page.locator("[name=login]").press("Enter")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")


def test_out_and_back_in_without_a_script(work: Work, browser: Browser) -> None:
    """To the page that was asked for, and the session stays: its cookie is sent although another site led here."""
    context = browser.new_context(locale="en-GB", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{work.site}/en/keys")
    assert page.url == f"{work.site}/en/sign-in?next=/keys"
    page.get_by_role("button", name="Sign in with Rijnstad").click()
    page.wait_for_url(f"{work.provider.issuer}/**")
    at_the_provider(page, "carla")
    page.wait_for_url(f"{work.site}/en/keys")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your keys and sessions")
    expect(page.get_by_text("You have no passkey here.")).to_be_visible()
    (session,) = [one for one in context.cookies() if one["name"].endswith("session") and "keten" in one["name"]]
    assert (session["sameSite"], session["httpOnly"]) == ("Strict", True)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    context.close()


@one_look
def test_its_pages_are_for_everybody(work: Work, browser: Browser, language: str, scheme: str, width: int) -> None:
    """axe finds nothing on the sign-in page, on the way out, on the way back, when refused, and without a passkey."""
    context = browser.new_context(
        locale=language,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport=ViewportSize(width=width, height=900),
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if work.site in str(message.location) else None)
    findings: list[str] = []

    def look() -> None:
        found = Axe().run(page)
        findings.extend(f"{page.url}: {one['id']}" for one in found.response["violations"])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url

    def stays(route: Route) -> None:
        route.fulfill(status=204)  # the page that leads on stays

    page.goto(f"{work.site}/{language}/sign-in?next=/keys")
    look()
    page.route(f"{work.provider.issuer}/**", stays)
    page.get_by_role("button", name="Rijnstad").click()
    onward = page.locator("a[rel=noreferrer]")
    expect(onward).to_be_visible()
    look()
    url = onward.get_attribute("href") or ""
    page.unroute(f"{work.provider.issuer}/**")
    page.route(f"{work.site}/{language}/keys", stays)
    page.goto(url)
    at_the_provider(page, "anna")
    arrived = page.locator("main a")
    page.wait_for_url(f"{work.site}/sign-in/answer?**")
    expect(arrived).to_be_visible()
    look()
    page.unroute(f"{work.site}/{language}/keys")
    arrived.click()
    page.wait_for_url(f"{work.site}/{language}/keys")
    look()
    page.goto(f"{work.site}/sign-in/answer?code=a&state=b")
    expect(page.get_by_role("alert")).to_be_visible()
    look()
    assert findings == []
    assert [one for one in complaints if "status of 403" not in one] == []
    context.close()
