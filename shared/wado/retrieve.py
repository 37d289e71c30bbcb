"""Studies, series and instances (API rules section 4): as they are stored, or converted one by one."""

from collections.abc import AsyncIterator, Mapping, Sequence

from shared.errors import NotAcceptable, NotFound
from shared.storage import archive, keys
from shared.storage.ahead import Primed, ended, primed
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import LOCATION, InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import (
    MAX_TRIES,
    VARY,
    Asked,
    Content,
    Piece,
    answer_unchanged,
    answer_with,
    gathered,
    literal,
    lost,
)
from shared.wado.converted.files import Converted
from shared.wado.converted.rules import INCONVERTIBLE, MADE_BY, MAX_WHOLE_BYTES, can_make_file
from shared.wado.converted.workers import Workers
from shared.wado.parts import Conversion, Found, convert_one, converted_parts, stored_parts
from shared.wado.runs import by_place
from shared.web.accept import Form
from shared.web.answer import Answer
from shared.web.etag import strong_etag
from shared.web.multipart import DICOM, boundary_for, closing, multipart_type, part_type, total_length
from shared.web.offers import Way, settle
from shared.web.ranges import Conditions


async def retrieve(storage: Storage, workers: Workers, *, scope: Scope, asked: Asked) -> Answer:
    """Answer with everything in a scope.

    Args:
        storage: The storage account.
        workers: Where pixels are converted.
        scope: Study, series or instance.
        asked: What the client says beside.

    Raises:
        NotFound: There is nothing in the scope.
        NotAcceptable: What is stored is not what the client would take, nor can be made that.
        Unavailable: The bytes of an instance are not where they should be.
    """
    for _ in range(MAX_TRIES):
        rows = await _rows(storage, scope)
        ways = settle(asked.choices, {row.transfer_syntax for row in rows}, can_make_file)
        if not rows:
            raise NotFound(f"The specified {scope.level} was not found.")
        try:
            return await _answer(Found(storage, workers, scope, rows, asked.links), ways, asked.conditions)
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
    raise await lost(storage, rows)


async def _rows(storage: Storage, scope: Scope) -> list[InstanceRow]:
    if scope.series is not None and scope.instance is not None:
        row = await archive.read_instance(storage, scope.key, scope.series, scope.instance, LOCATION)
        return [row] if row else []
    pages = archive.read_instances(storage, scope, LOCATION)
    rows = [row async for page in pages for row in page]
    return by_place(rows)


async def _answer(found: Found, ways: Sequence[Way], conditions: Conditions) -> Answer:
    """Answer in the first way that works out."""
    refusal: Exception | None = None
    for way in ways:
        if way.makes is None:
            return await _stored(found, way.choice.form, conditions)
        conversion = Conversion(way.makes, lenient=way.choice.default is not None)
        try:
            if found.scope.instance is None:
                return await _several_converted(found, conversion, conditions)
            return await _one_converted(found, way.choice.form, conversion, conditions)
        except INCONVERTIBLE as error:
            refusal = error
    raise NotAcceptable(f"This cannot be given in the transfer syntax asked for: {refusal}") from refusal


async def _stored(found: Found, form: Form, conditions: Conditions) -> Answer:
    if found.scope.instance is None:
        return await _several_stored(found, conditions)
    (row,) = found.rows
    place = row.location

    def read(start: int, end: int) -> AsyncIterator[bytes]:
        return found.storage.blobs.read(keys.DICOM, place.blob, place.start + start, end - start)

    if form is Form.SINGLE:
        pieces = [Piece(b"", place.length, read)]
        content_type = part_type(DICOM, row.transfer_syntax)
        return await answer_with(
            Content(content_type, pieces, found.identity(), _counts(found.rows)), conditions
        )
    boundary = boundary_for(*found.identity())
    pieces = [Piece(found.stored_head(boundary, row), place.length, read), Piece(closing(boundary))]
    content = Content(multipart_type(DICOM, boundary), pieces, found.identity(), _counts(found.rows))
    return await answer_with(content, conditions)


async def _several_stored(found: Found, conditions: Conditions) -> Answer:
    boundary = boundary_for(*found.identity())
    etag = strong_etag(*found.identity())
    headers = {**VARY, "ETag": etag}
    if conditions.is_known(etag):
        return Answer(304, headers, counts=_counts(found.rows))
    heads = [found.stored_head(boundary, row) for row in found.rows]
    parts = ((head, row.location.length) for head, row in zip(heads, found.rows, strict=True))
    headers["Content-Length"] = str(total_length(boundary, parts))
    headers["Content-Type"] = multipart_type(DICOM, boundary)
    body = await primed(stored_parts(found, boundary, heads)) if conditions.body else b""
    return Answer(200, headers, body, _counts(found.rows))


async def _several_converted(found: Found, conversion: Conversion, conditions: Conditions) -> Answer:
    """Convert instance by instance, as many as fit before the answer begins, so that failures are told."""
    # What cannot be converted comes as stored to who did not name the syntax: other bytes, another tag.
    identity = found.identity(conversion.wanted, MADE_BY, "lenient" if conversion.lenient else "strict")
    boundary = boundary_for(*identity)
    content_type = multipart_type(DICOM, boundary)
    if unchanged := answer_unchanged(content_type, identity, conditions):
        return unchanged
    begun, rest = await gathered(converted_parts(found, boundary, conversion), MAX_WHOLE_BYTES)
    if rest is None:
        pieces = [Piece(b"", len(begun), literal(begun))]
        return await answer_with(Content(content_type, pieces, identity, _counts(found.rows)), conditions)
    body = Primed(begun, rest)
    return Answer(200, {**VARY, "Content-Type": content_type}, body, _counts(found.rows))


async def _one_converted(found: Found, form: Form, conversion: Conversion, conditions: Conditions) -> Answer:
    (row,), wanted = found.rows, conversion.wanted
    identity = found.identity(wanted, MADE_BY)
    boundary = boundary_for(*identity)
    single = form is Form.SINGLE
    content_type = part_type(DICOM, wanted) if single else multipart_type(DICOM, boundary)
    if unchanged := answer_unchanged(content_type, identity, conditions):
        return unchanged
    made = await convert_one(found, row, conversion)
    head = b"" if single else found.head(boundary, row, wanted, made.length)
    end = b"" if single else closing(boundary)
    if made.whole is not None:
        pieces = [Piece(head, len(made.whole), literal(made.whole)), Piece(end)]
        return await answer_with(Content(content_type, pieces, identity, _counts(found.rows)), conditions)
    headers = {**VARY, "Content-Type": content_type}
    if made.length is not None:
        headers["Content-Length"] = str(len(head) + made.length + len(end))
    return Answer(200, headers, await primed(_enclosed(head, made, end)), _counts(found.rows))


async def _enclosed(head: bytes, made: Converted, end: bytes) -> AsyncIterator[bytes]:
    async with ended(made.pieces) as pieces:
        yield head
        async for piece in pieces:
            yield piece
    yield end


def _counts(rows: Sequence[InstanceRow]) -> Mapping[str, int]:
    return {"instances": len(rows)}
