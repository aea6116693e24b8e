"""What strangers and attackers send, over the real door: refused, bounded, and nothing breaks."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from keten.core.certificates import read
from keten.core.errors import KetenError
from keten.core.ids import new_id
from keten.keeper import certifying
from keten.keeper import protocol as said
from keten.keeper.certificates import create_authority, issue
from keten.keeper.client import KeeperClient
from tests.town import PRINTER, Town


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_assertions_that_do_not_hold(town: Town) -> None:
    system = town.system(PRINTER, town.printer_key)
    now = int(time.time())
    good = system.assertion()
    claims: dict[str, object] = {"iss": system.client_id, "sub": system.client_id, "aud": system.url}
    claims |= {"iat": now, "exp": now + 60, "jti": "1"}
    unsigned = f"{_b64({'alg': 'none'})}.{_b64(claims)}."
    hmac_alg = system.jwt({"alg": "HS256"}, claims)
    bad = [
        unsigned,
        hmac_alg,
        system.assertion(aud=f"{system.url}/oauth/token"),
        system.assertion(aud=[system.url]),
        system.assertion(exp=now - 1),
        system.assertion(exp=now + 3600),
        system.assertion(iat=now + 600),
        system.assertion(sub="aaaaaaaaaaaaaaaaaaaaaaaaae"),
        system.jwt({"alg": "EdDSA"}, claims | {"jti": "2"}, town.carrier_key.private),
        system.jwt({"alg": "EdDSA", "crit": ["x"], "x": 1}, claims | {"jti": "3"}),
        good[:-4],
        "a.b.c",
        "",
        "x" * 100_000,
    ]
    for assertion in bad:
        answer = system.sign_in(assertion or " ")
        assert answer.status in (400, 401, 413), assertion[:80]
        assert "access_token" not in answer.body.decode()
    assert system.sign_in(good).status == 200
    assert system.sign_in(good).status == 401, "an assertion counts once"


def test_a_bad_dpop_proof_at_the_token_endpoint_is_called_one(town: Town) -> None:
    """RFC 9449 §5: `invalid_dpop_proof`, and not `invalid_client`; the client itself is right."""
    system = town.printer()  # which has the nonce, when one is asked for
    endpoint = f"{system.url}/oauth/token"
    once = system.proof("POST", endpoint)

    def ask(proof: str) -> tuple[int, str]:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": system.assertion(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "DPoP": proof}
        answer = system.ask("POST", "/oauth/token", headers, urlencode(form).encode())
        return answer.status, str(answer.json().get("error"))

    assert ask(once) == (200, "None")
    for proof in (once, system.proof("GET", endpoint), system.proof("POST", system.url), "a.b.c"):
        assert ask(proof) == (400, "invalid_dpop_proof")
    assert ask(system.proof("POST", endpoint, iat=int(time.time()) - 100)) == (400, "invalid_dpop_proof")


def test_ranges_that_an_object_has_not(town: Town) -> None:
    empty = town.keten.folder / "empty.txt"
    empty.write_bytes(b"")
    town.keten.run("put", "voters", str(empty))
    printer = town.printer()
    by_name = {found["name"]: found for found in printer.shares()[0]["objects"]}
    size = by_name["voters.csv"]["size"]
    described = []
    for name, span, length in (
        ("voters.csv", f"bytes={size}-", size),
        ("voters.csv", "bytes=-0", size),
        ("empty.txt", "bytes=1-", 0),
    ):
        answer = printer.get(f"/v1/objects/{by_name[name]['id']}", {"Range": span})
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{length}")
        described.append((int(answer.headers["keten-entry-index"]), answer.headers["keten-entry"]))
    for span in ("bytes=0-", "bytes=-5"):
        answer = printer.get(f"/v1/objects/{by_name['empty.txt']['id']}", {"Range": span})
        assert (answer.status, answer.body) == (200, b"")
    shown = town.keten.command("ledger", "show", "--json", "--kind", "exchange.object.described").stdout
    found = {(entry["index"], entry["id"]) for entry in map(json.loads, shown.splitlines())}
    assert set(described) <= found, "each names its entry"


def test_tokens_and_proofs_that_do_not_hold(town: Town) -> None:
    printer, carrier = town.printer(), town.carrier()
    path = "/v1/shares"
    url = f"{printer.url}{path}"

    def ask(token: str, proof: str, scheme: str = "DPoP") -> int:
        return printer.ask("GET", path, {"Authorization": f"{scheme} {token}", "DPoP": proof}).status

    printer.get(path)  # learns the nonce, when one is asked for
    assert ask(printer.token, printer.proof("GET", url, printer.token)) == 200
    once = printer.proof("GET", url, printer.token)
    assert ask(printer.token, once) == 200
    assert ask(printer.token, once) == 401, "a proof counts once"
    for proof in (
        printer.proof("POST", url, printer.token),
        printer.proof("GET", f"{printer.url}/v1/objects/x", printer.token),
        printer.proof("GET", url),
        printer.proof("GET", url, carrier.token),
        printer.proof("GET", url, printer.token, iat=int(time.time()) - 120),
        printer.proof("GET", url, printer.token, iat=int(time.time()) + 120),
        carrier.proof("GET", url, printer.token),
        "",
        "a.b.c",
    ):
        assert ask(printer.token, proof) == 401
    assert ask(printer.token, printer.proof("GET", url, printer.token), "Bearer") == 401
    assert ask(printer.token[:-2] + "AA", printer.proof("GET", url, printer.token)) == 401
    assert printer.ask("GET", path).status == 401


def _all_that_are_left(ask: Callable[[], object]) -> None:
    for _number in range(certifying.MOST):
        ask()


def test_a_gateway_gets_certificates_for_its_own_names_only(town: Town) -> None:
    """Suppliers trust the instance's authority: a gateway in the wrong hands must not get a bank's name from it."""
    key = generate_private_key(SECP256R1())
    bank = x509.SubjectAlternativeName([x509.DNSName("bank.example")])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bank.example")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(bank, critical=False)
    request = asked.sign(key, SHA256()).public_bytes(Encoding.DER)
    foreign = issue(create_authority("bank"), ("bank.example",)).certificate
    with KeeperClient(town.keten.paths.gateway_socket) as keeper:

        def ask(present: bytes) -> tuple[str, ...]:
            body = said.CertificateRequest(request, present)
            path.write_bytes(keeper.call("keeper.certificate", body, said.Certificate).certificate)
            return read(path).hosts

        path = town.keten.folder / "made.pem"
        keeper.call("keeper.hello", said.Hello("gateway", "0"), said.Welcome)
        assert ask(foreign) == ("127.0.0.1",)
        assert ask(b"") == ("127.0.0.1",)
        assert set(ask(town.keten.paths.tls_certificate.read_bytes())) == {"localhost", "127.0.0.1", "::1"}
        for _number in range(certifying.MOST - 4):  # one more was asked for by the gateway at most
            ask(b"")
        with pytest.raises(KetenError, match="Too many certificates"):
            _all_that_are_left(lambda: ask(b""))
    shown = town.keten.command("ledger", "show", "--json", "--kind", "keeper.certificate.issued").stdout
    hosts = {host for line in shown.splitlines() for host in json.loads(line)["details"]["hosts"]}
    assert hosts == {"localhost", "127.0.0.1", "::1"}


def test_a_flood_of_strangers_makes_few_entries(town: Town) -> None:
    from keten.keeper.protocol import Nothing, Status

    def size() -> int:
        with town.keten.keeper() as keeper:
            return keeper.call("keeper.status", Nothing(), Status).size

    stranger = town.system(PRINTER, town.carrier_key)
    before = size()
    for _number in range(300):
        stranger.client_id = new_id()
        assert stranger.sign_in().status in (400, 401)
    assert size() - before <= 20, "a handful, not hundreds"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/objects/../../keeper/root.key",
        "/ledger/../keeper/root.key",
        "/ledger/%2e%2e/db/keten.db",
        "/v1/objects/%00",
    ],
)
def test_paths_lead_nowhere(town: Town, path: str) -> None:
    printer = town.printer()
    answer = printer.get(path)
    assert answer.status in (400, 404)
    assert b"SQLite" not in answer.body


def test_the_host_header_is_not_believed(town: Town) -> None:
    printer = town.printer()
    url = f"{printer.url}/v1/shares"
    headers = {"Authorization": f"DPoP {printer.token}", "DPoP": printer.proof("GET", url, printer.token)}
    answer = printer.ask("GET", "/v1/shares", headers | {"Host": "evil.example"})
    assert b"evil.example" not in answer.body
    elsewhere = printer.proof("GET", "https://evil.example/v1/shares", printer.token)
    assert printer.ask("GET", "/v1/shares", headers | {"Host": "evil.example", "DPoP": elsewhere}).status == 401
