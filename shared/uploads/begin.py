"""Beginning an upload: an address, and an operation that will tell what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.dicom.uid import parse_uid
from shared.errors import BadRequest
from shared.storage import upload_rows, works
from shared.storage.storage import Storage
from shared.storage.upload_rows import Terms
from shared.web.coding import parse_codings
from shared.web.multipart import DICOM, read_store_content_type

TYPE = "upload"
"""What the operation is called."""

_MEMBERS = {"study": "study", "contenttype": "contentType", "contentencoding": "contentEncoding"}


@dataclass(frozen=True, slots=True)
class Begun:
    """What the client needs to know."""

    id: str
    address: str
    """Where to write; whoever has it may write, so it must not be logged."""

    expires: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client says of what it will upload, as a store request does by its path and headers."""

    study: str | None = None
    content_type: str = DICOM
    content_encoding: str = ""


def parse_wish(members: Mapping[str, object]) -> Wish:
    """Read what the client says. Nothing said means one DICOM file.

    Args:
        members: The members of the request's JSON object, names in lower case.

    Raises:
        BadRequest: A member is unknown, or is not as it must be.
        UnsupportedMediaType: A store request does not take such a body, or not so compressed.
    """
    for name, value in members.items():
        if name not in _MEMBERS:
            wanted = ", ".join(_MEMBERS.values())
            raise BadRequest(f"The field '$.{name}' in request body is invalid: The fields are {wanted}.")
        if value is not None and not isinstance(value, str):
            raise BadRequest(f"The field '$.{_MEMBERS[name]}' in request body is invalid: It must be text.")
    said = {name: str(value).strip() for name, value in members.items() if value is not None}
    wish = Wish(
        study=parse_uid(said["study"]) if "study" in said else None,
        content_type=said.get("contenttype", DICOM),
        content_encoding=said.get("contentencoding", ""),
    )
    # Better told now than when all is uploaded.
    read_store_content_type(wish.content_type)
    parse_codings(wish.content_encoding)
    return wish


async def begin(storage: Storage, terms: Terms, lifetime: timedelta) -> Begun:
    """Let a client upload.

    Args:
        storage: The storage account.
        terms: How the upload is to be stored.
        lifetime: How long it may be uploaded.
    """
    upload = works.new_id()
    # Storage takes whole seconds; the client must not be told more than that.
    expires = (datetime.now(UTC) + lifetime).replace(microsecond=0)
    # The row first: nothing may lie in storage that the sweep does not come by.
    await upload_rows.create(storage, upload, terms, expires=expires, due=expires + storage.times.grace)
    await works.create(storage, upload, TYPE, terms.partition)
    address = await storage.memory.addresses.make(storage.wire, upload, expires)
    return Begun(upload, address, expires)
