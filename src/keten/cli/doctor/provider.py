"""The OpenID Connect provider that staff sign in with: whether it can be asked, and what it is trusted with."""

from __future__ import annotations

from collections.abc import Iterator

from keten.cli.doctor.findings import Case, Finding, note, weak, wrong


def provider(case: Case) -> Iterator[Finding]:
    """What is weak in the settings, and what the keeper finds when it has the provider asked."""
    found = case.settings.oidc
    if not found.issuer:
        return
    if not found.acr and not found.amr:
        what = (
            "Staff sign in by whatever the provider takes, perhaps a password alone: nothing says what it must ask for."
        )
        yield weak("provider-strength", what, 'Set acr or amr under [oidc], such as amr = ["mfa"].')
    if found.trust_email:
        what = "The provider's e-mail addresses count though it does not say that it verified them."
        yield note("provider-email", what, "Leave trust_email only where nobody there can choose an address.")
    if found.issuer.startswith("http:"):
        yield weak("provider-plain", "The provider is asked without TLS.", "Give its https:// address as issuer.")
    if found.secret_file:
        what = f"The client secret in {found.secret_file} goes to the provider with each sign-in, by way of the worker."
        yield note("provider-secret", what, "Where the provider takes private_key_jwt, leave secret_file out.")
    if found.only:
        what = "Staff can sign in through the provider only: while it is away, nobody can at the console."
        yield note("provider-only", what, "The command line still ends access.")
    yield from _asked(case)


def _asked(case: Case) -> Iterator[Finding]:
    from keten.cli.operator.keeping import connect
    from keten.keeper.provider_protocol import AskProvider, ProviderState

    client = connect(case.settings.paths) if case.up is not None else None
    if client is None:
        yield note("provider-unseen", "The provider is not asked: the instance does not run.", "keten up")
        return
    with client:
        state = client.call("people.provider", AskProvider(), ProviderState)
    for problem in state.problems:
        what = f"Staff can't sign in through {case.settings.oidc.issuer}: {problem}."
        yield wrong("provider", what, "keten provider tries it again.")
