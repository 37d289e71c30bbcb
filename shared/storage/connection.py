"""Where storage is and how we prove who we are, read from the settings the Functions host reads too."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

SERVICES = ("blob", "queue", "table")

Service = Literal["blob", "queue", "table"]

EMULATOR_ACCOUNT = "devstoreaccount1"
# The key of the emulator's account is public: every copy of Azurite has it.
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
EMULATOR_PORTS = {"blob": 10000, "queue": 10001, "table": 10002}


@dataclass(frozen=True, slots=True)
class Connection:
    """The three services of one storage account, and the proof of who we are."""

    blob: str
    """Base address of the service, without a slash at its end."""

    queue: str
    table: str

    account: str = ""
    """Name the key belongs to; empty with an identity."""

    key: bytes | None = field(default=None, repr=False)
    """Shared key, for the emulator and local work; None means an identity."""

    client_id: str | None = None
    """The user-assigned identity to use; None means the default one."""

    managed: bool = False
    """Only a managed identity will do; otherwise azure-identity looks in all its usual places."""

    def base(self, service: Service) -> str:
        """Base address of one service."""
        return {"blob": self.blob, "queue": self.queue, "table": self.table}[service]


def resolve(name: str, environment: Mapping[str, str]) -> Connection:
    """Read the connection called `name`: a connection string first, else addresses and an identity.

    Raises:
        ValueError: Nothing usable is set; the message names the variable, never its value.

    Source: the host's rules for identity-based connections (`NAME__blobServiceUri` and so on).
    """
    text = environment.get(name, "").strip()
    if text:
        return _from_text(name, text)
    return _from_identity(name, environment)


def _from_text(name: str, text: str) -> Connection:
    fields = _fields(name, text)
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        return _emulator(fields.get("developmentstorageproxyuri", "http://127.0.0.1"))
    if "sharedaccesssignature" in fields:
        raise ValueError(
            f"{name} holds a shared access signature; use an identity or, locally, an account key."
        )
    account = fields.get("accountname", "")
    if not account:
        raise ValueError(f"{name} has no AccountName.")
    blob, queue, table = (_address(name, service, fields) for service in SERVICES)
    return Connection(
        blob,
        queue,
        table,
        account=account,
        key=_key(name, fields.get("accountkey", "")),
    )


def _fields(name: str, text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError(f"{name} is not a connection string: Name=value pairs with ';' between them.")
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _emulator(proxy: str) -> Connection:
    host = proxy.rstrip("/")
    blob, queue, table = (f"{host}:{EMULATOR_PORTS[service]}/{EMULATOR_ACCOUNT}" for service in SERVICES)
    return Connection(
        blob,
        queue,
        table,
        account=EMULATOR_ACCOUNT,
        key=b64decode(EMULATOR_KEY),
    )


def _key(name: str, text: str) -> bytes:
    try:
        key = b64decode(text, validate=True)
    except Base64Error:
        raise ValueError(f"The AccountKey in {name} is not base64.") from None
    if not key:
        raise ValueError(f"{name} has no AccountKey.")
    return key


def _address(name: str, service: str, fields: Mapping[str, str]) -> str:
    given = fields.get(f"{service}endpoint")
    if given:
        return _checked(f"{service.capitalize()}Endpoint in {name}", given, ("http", "https"))
    scheme = fields.get("defaultendpointsprotocol", "https")
    suffix = fields.get("endpointsuffix", "core.windows.net")
    address = f"{scheme}://{fields['accountname']}.{service}.{suffix}"
    return _checked(f"DefaultEndpointsProtocol in {name}", address, ("http", "https"))


def _from_identity(name: str, environment: Mapping[str, str]) -> Connection:
    credential = environment.get(f"{name}__credential", "").strip().lower()
    if credential not in ("", "managedidentity"):
        raise ValueError(f"{name}__credential must be 'managedidentity' or absent.")
    blob, queue, table = (_service_address(name, service, environment) for service in SERVICES)
    return Connection(
        blob,
        queue,
        table,
        client_id=environment.get(f"{name}__clientId", "").strip() or None,
        managed=bool(credential),
    )


def _service_address(name: str, service: str, environment: Mapping[str, str]) -> str:
    variable = f"{name}__{service}ServiceUri"
    given = environment.get(variable, "").strip()
    if given:
        # A bearer token must not travel in the clear.
        return _checked(variable, given, ("https",))
    account = environment.get(f"{name}__accountName", "").strip()
    if not account:
        raise ValueError(f"Set {name} (a connection string), {name}__accountName, or {variable}.")
    return _checked(f"{name}__accountName", f"https://{account}.{service}.core.windows.net", ("https",))


def _checked(what: str, address: str, schemes: tuple[str, ...]) -> str:
    parts = urlsplit(address)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{what} must be an address that begins with {' or '.join(schemes)}://.")
    return address.rstrip("/")
