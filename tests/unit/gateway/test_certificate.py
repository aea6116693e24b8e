"""The certificate that is shown: made when there is none, renewed in time, taken up from the disk, never lost."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from keten.core.errors import Busy
from keten.core.settings import Listener
from keten.gateway import certificate as module
from keten.gateway import main as main_module
from keten.keeper import protocol as said
from keten.keeper.certificates import Authority, certify, create_authority, issue, requested_key
from tests.unit.gateway.asking import get, in_thread
from tests.unit.gateway.conftest import Serving
from tests.unit.gateway.fake import Scene

HOSTS = ("127.0.0.1", "localhost")


def shown(scene: Scene) -> x509.Certificate:
    """The certificate that a new connection sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = scene.url.partition("//")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as raw, context.wrap_socket(raw) as tls:
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


async def until_another_is_shown(scene: Scene, before: x509.Certificate) -> x509.Certificate:
    async with asyncio.timeout(30):
        while (now := await in_thread(shown, scene)) == before:  # noqa: ASYNC110 - looks at what has no event
            await asyncio.sleep(0.02)
    return now


def issuing(scene: Scene, authority: Authority) -> None:
    """Have the fake keeper sign, once."""
    asked = scene.keeper.bodies("keeper.certificate")

    async def answer(body: said.CertificateRequest) -> said.Certificate:
        if len(scene.keeper.bodies("keeper.certificate")) > len(asked) + 1:
            raise Busy("too-many-certificates", "Too many.")
        return said.Certificate(certify(authority, requested_key(body.request), HOSTS).certificate)

    scene.keeper.verbs["keeper.certificate"] = answer


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_module, "LOOK_SECONDS", 0.02)


def test_one_that_fits_is_left_alone(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        before = await in_thread(shown, scene)
        await asyncio.sleep(0.2)
        assert await in_thread(shown, scene) == before
        assert scene.keeper.bodies("keeper.certificate") == []

    serving(testing)


def test_before_it_ends_there_is_a_new_one_and_connections_go_on(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def testing(scene: Scene) -> None:
        folder = scene.home / "gateway"
        before, old_key = await in_thread(shown, scene), (folder / "tls.key").read_bytes()
        supplier = scene.supplier()
        with await in_thread(supplier.connect) as wire:
            issuing(scene, create_authority("test"))
            monkeypatch.setattr(module, "RENEWED_BEFORE", timedelta(days=366))
            after = await until_another_is_shown(scene, before)
            answer = await in_thread(supplier.send, wire, "GET", "/healthz")
            assert answer.status == 200, "the connection of before is as it was"
        (asked, *_more) = scene.keeper.bodies("keeper.certificate")
        assert asked.present.startswith(before.public_bytes(Encoding.PEM))
        assert (folder / "tls.key").read_bytes() != old_key
        private = load_pem_private_key((folder / "tls.key").read_bytes(), None)
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert private.public_key().public_bytes(*spki) == after.public_key().public_bytes(*spki)
        assert (folder / "tls.key").stat().st_mode & 0o077 == 0
        assert b"PRIVATE" not in asked.request

    serving(testing)


def test_what_the_keeper_refuses_changes_nothing(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEWED_BEFORE", timedelta(days=5000))

    async def testing(scene: Scene) -> None:
        async def busy(_body: said.CertificateRequest) -> said.Certificate:
            raise Busy("too-many-certificates", "Too many.")

        scene.keeper.verbs["keeper.certificate"] = busy
        before = await in_thread(shown, scene)
        await scene.keeper.heard("keeper.certificate", 3)
        assert await in_thread(shown, scene) == before
        assert (await get(scene, "/healthz")).status == 200

    serving(testing)


def test_files_that_do_not_fit_each_other_are_made_anew(serving: Serving) -> None:
    async def testing(scene: Scene) -> None:
        before = await in_thread(shown, scene)
        issuing(scene, create_authority("test"))
        made = issue(create_authority("other"), HOSTS)
        (scene.home / "gateway" / "tls.key").write_bytes(made.key)  # as after a crash between the two
        after = await until_another_is_shown(scene, before)
        assert after.public_key() != x509.load_pem_x509_certificate(made.certificate).public_key()

    serving(testing)


def test_a_certificate_of_the_organisations_own_is_taken_up_when_it_changes(
    serving: Serving, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("own")
    certificate, key = folder / "own.pem", folder / "own.key"

    def put() -> x509.Certificate:
        made = issue(create_authority("theirs"), HOSTS)
        key.write_bytes(made.key)
        certificate.write_bytes(made.certificate)
        return x509.load_pem_x509_certificate(made.certificate)

    first = put()

    async def testing(scene: Scene) -> None:
        assert await in_thread(shown, scene) == first
        certificate.write_bytes(b"half of it")
        await asyncio.sleep(0.2)
        assert await in_thread(shown, scene) == first, "what cannot be used is not shown"
        second = put()
        assert await until_another_is_shown(scene, first) == second
        assert scene.keeper.bodies("keeper.certificate") == [], "it is theirs to renew"

    serving(testing, gateway=Listener(certificate=str(certificate), certificate_key=str(key)))
