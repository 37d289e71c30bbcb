"""Signatures are checked by the emulator in every other test; tokens are checked here."""

import asyncio
import base64
import datetime
import hmac
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.config import MAX_UPLOAD_LIFETIME
from shared.errors import Unavailable
from shared.storage.blobs import Blobs
from shared.storage.calls import counted
from shared.storage.connection import EMULATOR_ACCOUNT, Connection
from shared.storage.keys import UPLOADS
from shared.storage.leases import Leases
from shared.storage.queues import Queues
from shared.storage.signing import SCOPE, Tokens, open_tokens
from shared.storage.tables import Tables, insert
from shared.storage.upload_address import UploadAddresses
from shared.storage.wire import StorageRefused, Wire
from tests.unit.storage.conftest import running_azurite
from tests.unit.storage.faulty import answered, proxied

T = TypeVar("T")


class Issuer:
    """A credential as azure-identity's are, which gives tokens that the emulator can read, or fails."""

    def __init__(self, lives: int = 3600, audience: str = "https://storage.azure.com") -> None:
        self.lives = lives
        self.audience = audience
        self.asked: list[str] = []
        self.broken = False
        self.closed = False

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.asked += scopes
        await asyncio.sleep(0)
        if self.broken:
            raise ClientAuthenticationError("The token service is away.")
        end = int(time.time()) + self.lives
        return AccessToken(_token(self.audience, end, len(self.asked)), end)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> "Issuer":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


def test_a_token_is_asked_for_once_and_used_by_all() -> None:
    issuer = Issuer()

    async def act() -> set[str]:
        tokens = Tokens(issuer)
        return set(await asyncio.gather(*(tokens.header() for _ in range(20))))

    headers = asyncio.run(act())

    assert len(headers) == 1
    assert headers.pop().startswith("Bearer ")
    assert issuer.asked == [SCOPE]


def test_a_token_is_replaced_before_it_ends() -> None:
    issuer = Issuer(lives=299)

    async def act() -> tuple[str, str]:
        tokens = Tokens(issuer)
        return await tokens.header(), await tokens.header()

    first, second = asyncio.run(act())

    assert first != second


def test_an_old_token_serves_while_no_new_one_is_given() -> None:
    issuer = Issuer(lives=200)

    async def act() -> tuple[str, str, str]:
        tokens = Tokens(issuer)
        first = await tokens.header()
        issuer.broken = True
        return first, await tokens.header(), await tokens.header()

    headers = asyncio.run(act())

    assert len(set(headers)) == 1
    # It is not asked for again at once: that could hold up every request.
    assert len(issuer.asked) == 2


def test_without_any_token_storage_is_unavailable() -> None:
    issuer = Issuer()
    issuer.broken = True

    with pytest.raises(Unavailable) as caught:
        asyncio.run(Tokens(issuer).header())

    assert isinstance(caught.value.__cause__, ClientAuthenticationError)


@pytest.mark.parametrize("managed", [False, True])
def test_an_identity_needs_no_key(managed: bool) -> None:
    """azure-identity takes what we ask of it; whether it finds an identity depends on where it runs."""

    async def act() -> None:
        connection = Connection(
            "https://b", "https://q", "https://t", client_id=str(uuid4()), managed=managed
        )
        await open_tokens(connection).aclose()

    asyncio.run(act())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return _make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def guarded(certificate: tuple[Path, Path]) -> Iterator[Connection]:
    """An emulator that takes tokens, and therefore wants HTTPS."""
    chain, key = certificate
    with running_azurite(["--oauth", "basic", "--cert", str(chain), "--key", str(key)]) as ports:
        blob, queue, table = (f"https://127.0.0.1:{port}/{EMULATOR_ACCOUNT}" for port in ports)
        yield Connection(blob, queue, table)


@pytest.fixture
def identified(
    guarded: Connection, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Issuer, Callable[[Wire], Awaitable[Any]]], Any]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    def run(issuer: Issuer, act: Callable[[Wire], Awaitable[T]]) -> T:
        async def whole() -> T:
            wire = Wire(guarded, tokens=Tokens(issuer))
            try:
                return await act(wire)
            finally:
                await wire.aclose()

        return asyncio.run(whole())

    return run


def test_an_identity_opens_all_three_services(
    identified: Callable[[Issuer, Callable[[Wire], Awaitable[Any]]], Any], fresh: str
) -> None:
    issuer = Issuer()

    async def act(wire: Wire) -> bytes:
        await Tables(wire).transact(fresh, "p", [insert("a", {}), insert("b", {})])
        await Queues(wire).send(fresh, "text")
        await Blobs(wire).put(fresh, "x", b"content")
        return await Blobs(wire).read_all(fresh, "x")

    assert identified(issuer, act) == b"content"
    assert issuer.asked == [SCOPE]
    assert issuer.closed


def test_an_identity_nobody_closed_is_closed_with_the_loop(connection: Connection) -> None:
    issuer = Issuer()

    async def act() -> None:
        async with proxied(connection, [answered(404, x_ms_error_code="BlobNotFound")]) as proxy:
            kept.append(Wire(proxy.connection, tokens=Tokens(issuer)))
            await Blobs(kept[0]).exists("container", "x")

    kept: list[Wire] = []
    asyncio.run(act())

    assert issuer.closed


def test_a_refused_token_is_replaced_once(
    identified: Callable[[Issuer, Callable[[Wire], Awaitable[Any]]], Any], fresh: str
) -> None:
    issuer = Issuer(audience="https://somewhere.example")

    async def act(wire: Wire) -> None:
        await Blobs(wire).read_all(fresh, "x")

    with pytest.raises(StorageRefused) as caught:
        identified(issuer, act)

    assert caught.value.status in (401, 403)
    assert len(issuer.asked) == (2 if caught.value.status == 401 else 1)


def test_a_token_refused_at_first_is_replaced(connection: Connection, fresh: str) -> None:
    issuer = Issuer()

    async def act() -> int:
        async with proxied(
            connection, [answered(401), answered(404, x_ms_error_code="BlobNotFound")]
        ) as proxy:
            wire = Wire(proxy.connection, tokens=Tokens(issuer))
            assert await Blobs(wire).exists(fresh, "x") is False
            await wire.aclose()
            return len({request.headers["Authorization"] for request in proxy.seen})

    assert asyncio.run(act()) == 2


def test_a_token_refused_to_the_sdk_is_replaced(
    connection: Connection, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)
    where = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001/oauth2/authorize"
    challenge = f"Bearer authorization_uri={where} resource_id=https://storage.azure.com"
    issuer = Issuer()

    async def act() -> list[str]:
        async with proxied(
            connection, [answered(401, WWW_Authenticate=challenge), answered(200), answered(200)], tls
        ) as proxy:
            wire = Wire(proxy.connection, tokens=Tokens(issuer))
            for _ in range(2):
                assert await Leases(wire).renew("container", "x", str(uuid4()))
            await wire.aclose()
            return [request.headers["Authorization"] for request in proxy.seen]

    first, second, third = asyncio.run(act())

    assert first != second
    assert second == third
    assert issuer.asked == [SCOPE, SCOPE]


def test_an_identity_makes_addresses_without_a_key(
    identified: Callable[[Issuer, Callable[[Wire], Awaitable[Any]]], Any], certificate: tuple[Path, Path]
) -> None:
    """User-delegation SAS: each good for writing one blob and for nothing else."""
    name, other = uuid4().hex, uuid4().hex
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    kind = {"x-ms-blob-type": "BlockBlob"}

    async def act(wire: Wire) -> tuple[list[int], bytes]:
        addresses = UploadAddresses()
        address = await _as_emulated(wire, await addresses.make(wire, name, expires))
        second = await _as_emulated(wire, await addresses.make(wire, other, expires))
        container = address.replace(f"/{name}?", "?restype=container&comp=list&")
        async with httpx.AsyncClient(verify=trust) as http:
            answers = [
                await http.put(address, content=b"content", headers=kind),
                await http.get(address),
                await http.delete(address),
                await http.get(container),
                await http.put(second.replace(other, name), content=b"x", headers=kind),
            ]
        return [answer.status_code for answer in answers], await Blobs(wire).read_all(UPLOADS, name)

    statuses, content = identified(Issuer(), act)

    assert statuses == [201, 403, 403, 403, 403]
    assert content == b"content"


async def _as_emulated(wire: Wire, address: str) -> str:
    """The same address, signed in the last version that the emulator knows how to check."""
    place, _, text = address.partition("?")
    query = dict(parse_qsl(text))
    assert query.keys() == {*("se", "sp", "spr", "sv", "sr", "sig"), *_KEY_FIELDS}
    assert (query["sp"], query["spr"], query["sr"]) == ("cw", "https", "b")
    start, end = (datetime.datetime.fromisoformat(query[name]) for name in ("skt", "ske"))
    key = await (await wire.sdk()).blobs.get_user_delegation_key(start, end)
    query["sv"] = "2025-07-05"
    path = "/".join(urlsplit(place).path.split("/")[1:])
    signed = [query["sp"], "", query["se"], f"/blob/{path}", *(query[name] for name in _KEY_FIELDS)]
    signed += ["", "", "", "", "", "", query["spr"], query["sv"], query["sr"], *[""] * 7]
    digest = hmac.digest(base64.b64decode(str(key.value)), "\n".join(signed).encode(), "sha256")
    query["sig"] = base64.b64encode(digest).decode()
    return f"{place}?{urlencode(query)}"


_KEY_FIELDS = ("skoid", "sktid", "skt", "ske", "sks", "skv")


def test_a_delegated_key_is_replaced_before_an_address_outlives_it(
    identified: Callable[[Issuer, Callable[[Wire], Awaitable[Any]]], Any],
) -> None:
    """The longest lifetime of an address is within what a key may last."""
    now = datetime.datetime.now(datetime.UTC)

    async def act(wire: Wire) -> list[int]:
        addresses, asked = UploadAddresses(), []
        for lifetime in (datetime.timedelta(hours=1), datetime.timedelta(hours=12), MAX_UPLOAD_LIFETIME):
            with counted() as calls:
                await addresses.make(wire, "x", now + lifetime)
            asked.append(calls.calls)
        return asked

    # The first call makes the container, too.
    assert identified(Issuer(), act) == [2, 0, 1]


def _token(audience: str, end: int, number: int) -> str:
    """A token with the claims the emulator looks at; it does not check the signature."""
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000001/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": end,
        "oid": "00000000-0000-0000-0000-000000000002",
        "tid": "00000000-0000-0000-0000-000000000001",
        "number": number,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_usage(), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, private


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
