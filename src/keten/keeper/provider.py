"""The organisation's OpenID Connect provider as the keeper knows it: what it says, its keys, whom it vouches for.

The keeper opens no connection outwards: the worker asks for it (`keeper/fetch_protocol.py`), and what comes back is
verified here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import stat
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jwk

from keten.core.clock import SECOND, rfc3339, to_us
from keten.core.errors import KetenError, Unavailable
from keten.core.provider import Provider
from keten.core.settings import duration
from keten.identity import people_entries
from keten.identity.ceremonies import Ceremony
from keten.identity.errors import Refused
from keten.identity.oidc import asking, id_token
from keten.identity.oidc.keys import ProviderKey, read_keys
from keten.identity.oidc.metadata import Metadata, address_of, object_of, read_metadata, wrong
from keten.keeper.fetch_protocol import FETCH_SECONDS, MAX_FRAME, Fetch, Fetched
from keten.keeper.process_link import ProcessLink
from keten.keeper.provider_protocol import REDIRECT_PATH
from keten.keeper.server import user_ids
from keten.keeper.trusted import Trusted

log = logging.getLogger(__name__)
FRESH_SECONDS = 3600.0
"""So long what it says of itself and its keys count, unless an ID token names a key that is not among them."""
AGAIN_SECONDS = 60.0
"""No more often are its keys fetched anew for a token that names one that is not known."""
REST_SECONDS = 5.0
"""So long after it could not be asked for them, nobody waits for that again."""
GRACE_SECONDS = 2.0  # over what the worker itself takes: then it is the worker that hangs
_PUBLIC = "The organisation's sign-in service cannot be reached now. Try again in a moment."
_CODE = re.compile(r"[a-z_]{1,40}\Z")
MAX_SECRET = 1024


class _Kept(msgspec.Struct, frozen=True):
    metadata: Metadata
    keys: tuple[ProviderKey, ...]
    at: float


class OpenIdProvider:
    """One for the keeper; for its loop alone."""

    def __init__(self, trusted: Trusted) -> None:
        self._trusted = trusted
        settings = trusted.settings
        self.settings: Provider = settings.oidc
        self._home = Path(settings.home)
        users = user_ids(settings.keeper.operator_users)  # the worker is one of them
        self._link = ProcessLink(
            settings.paths.provider_socket, "the worker", users, MAX_FRAME, "provider-unreachable", _PUBLIC
        )
        self._kept: _Kept | None = None
        self._again_at = 0.0
        self._failed_at = -REST_SECONDS
        self._failure: KetenError | None = None
        self._one = asyncio.Lock()
        self._seen: frozenset[str] = frozenset()
        self._key = trusted.provider_key()

    async def ready(self) -> None:
        """See that it can be asked, before anything is begun. Raises as `url`."""
        await self._known()

    async def url(self, ceremony: Ceremony) -> str:
        """Where a browser is sent to sign in. Raises `Unavailable` ("provider-unreachable", "provider-wrong")."""
        found = await self._known()
        seconds = duration(self.settings.max_age) if self.settings.max_age else 0
        return asking.authorization_url(found.metadata, self.settings, redirect_uri(ceremony), ceremony, seconds)

    async def claims(self, code: str, issuer: str, ceremony: Ceremony) -> dict[str, Any]:
        """Whom the provider vouches for: the claims of its ID token.

        1. The answer was given by this provider (RFC 9207): before the code is shown to anybody.
        2. The code is exchanged, with the verifier of this very sign-in, by the same redirect URI.
        3. The ID token holds (`id_token.verify`); a key that is not known is looked for once more.

        Raises `Refused` ("sign-in-failed") with the cause; `Unavailable`.
        """
        found = await self._known()
        if (issuer or found.metadata.says_issuer) and issuer != self.settings.issuer:  # 1
            raise Refused("sign-in-failed", "the answer is of another provider", cause="provider-mixed-up")
        token, access_token = await self._exchanged(found.metadata, code, ceremony)  # 2
        expected = self._expected(ceremony)
        now = self._trusted.clock.outside()
        try:
            return id_token.verify(token, access_token, found.keys, expected, now)  # 3
        except id_token.KeyUnknown:
            found = await self._known(again=True)
            return id_token.verify(token, access_token, found.keys, expected, now)

    def _expected(self, ceremony: Ceremony) -> id_token.Expected:
        provider = self.settings
        return id_token.Expected(
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=asking.nonce_of(ceremony),
            began_us=ceremony.began_us,
            algorithms=provider.algorithms,
            acr=provider.acr,
            amr=provider.amr,
            max_age_us=duration(provider.max_age) * SECOND if provider.max_age else 0,
        )

    # ---- what it says of itself ----------------------------------------------------------------------------------

    async def _known(self, *, again: bool = False) -> _Kept:
        """Metadata and keys, fetched when they are older than `FRESH_SECONDS`, or `again`. One fetches at a time.

        Keys count once it is recorded that they do, so that false ones can be seen in the ledger.
        """
        before = self._kept
        async with self._one:
            kept, now = self._kept, time.monotonic()
            if kept is not None and (kept is not before or (not again and now - kept.at < FRESH_SECONDS)):
                return kept
            if kept is not None and again and now < self._again_at:
                return kept
            if self._failure is not None and now - self._failed_at < REST_SECONDS:
                raise self._failure
            if again:
                self._again_at = now + AGAIN_SECONDS
            try:
                self._kept = await self._asked()
            except KetenError as error:
                self._failed_at, self._failure = time.monotonic(), error
                raise
            self._failure = None
            return self._kept

    async def _asked(self) -> _Kept:
        metadata = read_metadata(await self._document(address_of(self.settings.issuer)), self.settings.issuer)
        raw = await self._document(metadata.jwks_uri) if not self.settings.keys_file else self._file()
        keys = read_keys(raw)
        thumbprints = frozenset(key.thumbprint for key in keys)
        if thumbprints != self._seen:
            draft = people_entries.provider_keys(self.settings.issuer, tuple(thumbprints))
            await self._trusted.writer.run(lambda writing: writing.record(draft))
            self._seen = thumbprints
        return _Kept(metadata, keys, time.monotonic())

    def _file(self) -> bytes:
        path = self._home / self.settings.keys_file
        try:
            return path.read_bytes()
        except OSError as error:
            raise wrong(f"{path} cannot be read: {error.strerror}") from error

    async def _document(self, url: str) -> bytes:
        fetched = await self._fetch(Fetch(url))
        if fetched.status != 200:
            raise self._link.absent(f"{url[:200]} answered {fetched.status}")
        return fetched.body

    async def _fetch(self, asked: Fetch) -> Fetched:
        return await self._link.ask("provider.fetch", asked, Fetched, 2 * FETCH_SECONDS + GRACE_SECONDS)

    # ---- the code ------------------------------------------------------------------------------------------------

    async def _exchanged(self, metadata: Metadata, code: str, ceremony: Ceremony) -> tuple[str, str]:
        """The ID token, and the access token that came along, which is used for nothing but `at_hash`."""
        form, authorization = asking.token_request(
            metadata,
            self.settings,
            redirect_uri(ceremony),
            code,
            asking.verifier_of(ceremony),
            self._proof(),
            self._trusted.clock.outside(),
        )
        fetched = await self._fetch(Fetch(metadata.token_endpoint, form, authorization))
        if fetched.status >= 500:
            raise self._link.absent(f"its token endpoint answered {fetched.status}")
        answer = object_of(fetched.body, "the token endpoint's answer")
        if fetched.status != 200:
            said = answer.get("error")
            error = said if isinstance(said, str) and _CODE.match(said) else "an error without a code"
            if error == "invalid_grant":  # RFC 6749 §5.2: the code, its redirect URI or its verifier
                raise Refused("sign-in-failed", "it does not take the code", cause="provider-code")
            raise wrong(f"its token endpoint answered {fetched.status}: {error}")
        token, access_token = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str) or not isinstance(access_token, str):
            raise wrong("its token endpoint gave no ID token")
        return token, access_token

    def _proof(self) -> jwk.ECKey | str:
        """Keten's own key, or the secret. Raises `Unavailable` ("provider-wrong"): its file is not its alone."""
        if not self.settings.secret_file:
            return self._key
        path = self._home / self.settings.secret_file
        try:
            mode = path.stat().st_mode
            text = path.read_bytes()[:MAX_SECRET].decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise wrong(f"the secret in {path} cannot be read") from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise wrong(f"others may read the secret in {path}: chmod 600")
        if not text:
            raise wrong(f"the secret in {path} is empty")
        return text

    # ---- for operators -------------------------------------------------------------------------------------------

    def public_keys(self) -> str:
        """The JWK Set that the provider is given; "" where there is a secret instead."""
        return "" if self.settings.secret_file else msgspec.json.encode(asking.public_set(self._key)).decode()

    async def problems(self) -> tuple[str, ...]:
        """What is wrong with it, asked anew."""
        found: list[str] = []
        try:
            self._proof()
            url = address_of(self.settings.issuer)
            fetched = await self._fetch(Fetch(url))
            found += self._clocks(fetched)
            async with self._one:  # what was heard before goes on counting when this fails
                known = self._kept = await self._asked()
                self._failure = None
        except KetenError as error:
            return (*found, error.reason or error.public)
        metadata, provider = known.metadata, self.settings
        if metadata.algorithms and not set(metadata.algorithms) & set(provider.algorithms):
            found.append(f"it signs by {', '.join(metadata.algorithms)}, and [oidc] algorithms has none of these")
        if not provider.secret_file and "private_key_jwt" not in metadata.methods:
            found.append("it does not take private_key_jwt: give [oidc] secret_file")
        if provider.secret_file and not {"client_secret_basic", "client_secret_post"} & set(metadata.methods):
            found.append("it takes no client secret: leave [oidc] secret_file out, and give it Keten's key")
        if not metadata.s256:
            found.append("it does not say that it takes PKCE's S256: a stolen code may be of use to a thief")
        return tuple(found)

    def _clocks(self, fetched: Fetched) -> list[str]:
        try:
            theirs = to_us(parsedate_to_datetime(fetched.date))
        except (ValueError, TypeError, IndexError):
            return []
        apart = abs(theirs - self._trusted.clock.outside())
        if apart <= id_token.LEEWAY_US:
            return []
        return [
            f"its clock says {rfc3339(theirs)[:19]}Z, {apart // SECOND} seconds from this machine's: no token holds"
        ]

    async def close(self) -> None:
        """End the connection to the worker."""
        await self._link.close()


def redirect_uri(ceremony: Ceremony) -> str:
    """Where the provider sends the browser back to."""
    return ceremony.relying.origin + REDIRECT_PATH


def unset() -> Unavailable:
    """There is no provider."""
    return Unavailable("provider-unset", "This system has no other way to sign in than with a passkey.")
