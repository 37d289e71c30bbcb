"""The body of a store request as a stream of parts (API rules section 3.1)."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable

import pytest

from shared.errors import BadRequest, TooLarge, UnsupportedMediaType
from shared.stow.body import inflated, read_parts
from shared.web.multipart import Multipart, PartBegin, PartBytes, PartEnd, PartKind, Single

ENVELOPE = Multipart("b", "application/dicom")
PLENTY = 1000


async def flowing(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Chunks as they arrive."""
    for chunk in chunks:
        yield chunk


def parts(chunks: Iterable[bytes], form: Single | Multipart, most: int = PLENTY) -> list[bytes]:
    """The payload of every part."""

    async def read() -> list[bytes]:
        found: list[bytes] = []
        opened = 0
        async for event in read_parts(flowing(chunks), form, most):
            if isinstance(event, PartBegin):
                found.append(b"")
                opened += 1
            elif isinstance(event, PartBytes):
                found[-1] += event.data
            elif isinstance(event, PartEnd):
                opened -= 1
        assert opened == 0
        return found

    return asyncio.run(read())


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
def test_an_empty_single_body_is_one_empty_part(chunks: list[bytes]) -> None:
    """Section 3.5: it counts as one part, which then fails."""
    assert parts(chunks, Single()) == [b""]


def test_a_single_body_is_one_part() -> None:
    """Content type B."""
    assert parts([b"ab", b"", b"c"], Single()) == [b"abc"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_multipart_body_is_taken_apart(size: int) -> None:
    """Content type A, cut anywhere."""
    body = b"--b\r\n\r\none\r\n--b\r\nContent-Type: application/dicom\r\n\r\ntwo\r\n--b--\r\n"
    chunks = [body[at : at + size] for at in range(0, len(body), size)]

    assert parts(chunks, ENVELOPE) == [b"one", b"two"]


def test_a_multipart_without_parts_has_none() -> None:
    """Section 3.5: answered 204."""
    assert parts([b"--b--"], ENVELOPE) == []


def test_a_part_of_another_type_ends_the_request() -> None:
    """Section 3.1."""
    with pytest.raises(UnsupportedMediaType):
        parts([b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--"], ENVELOPE)


@pytest.mark.parametrize("body", [b"", b"--b\r\n\r\none", b"--b\r\n\r\none\r\n--b\r\n"])
def test_a_body_that_ends_too_early_is_refused(body: bytes) -> None:
    """Section 3.1, malformed framing."""
    with pytest.raises(BadRequest):
        parts([body], ENVELOPE)


@pytest.mark.parametrize("form", [Single(), ENVELOPE])
def test_a_body_over_the_limit_is_refused(form: Single | Multipart) -> None:
    """Section 1.9: as soon as it is over, and the limit itself is not."""
    body = b"--b\r\n\r\none\r\n--b--"

    parts([body], form, len(body))
    with pytest.raises(TooLarge, match=str(len(body) - 1)):
        parts([body], form, len(body) - 1)


def begun(body: bytes, form: Multipart, base: str) -> list[PartBegin]:
    """The beginnings of the parts."""

    async def read() -> list[PartBegin]:
        events = read_parts(flowing([body]), form, PLENTY, base=base)
        return [event async for event in events if isinstance(event, PartBegin)]

    return asyncio.run(read())


def test_parts_are_told_apart() -> None:
    """Metadata by the type of the envelope, all others are bulk data."""
    body = b"--b\r\n\r\n{}\r\n--b\r\nContent-Type: image/jp2\r\n\r\nx\r\n--b--"

    found = begun(body, Multipart("b", "application/dicom+json", PartKind.JSON), "")

    assert [begin.kind for begin in found] == [PartKind.JSON, PartKind.BULK]


@pytest.mark.parametrize(
    ("own", "base"),
    [(b"", "http://h/v2/studies"), (b"http://x/y/", "http://x/y/"), (b"z/", "http://h/v2/z/")],
)
def test_a_part_may_have_a_base_of_its_own(own: bytes, base: str) -> None:
    """Relative to that of the request."""
    body = b"--b\r\nContent-Type: image/jp2\r\nContent-Base: " + own + b"\r\n\r\nx\r\n--b--"

    (found,) = begun(body, Multipart("b", "application/dicom+json", PartKind.JSON), "http://h/v2/studies")

    assert found.base == base


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_a_compressed_body_is_inflated_as_it_arrives(size: int) -> None:
    """Several codings in a row too."""
    plain = bytes(300_000) + b"end"
    body = gzip.compress(gzip.compress(plain))

    async def read() -> bytes:
        chunks = flowing(body[at : at + size] for at in range(0, len(body), size))
        return b"".join([piece async for piece in inflated(chunks, ("gzip", "gzip"), len(plain))])

    assert asyncio.run(read()) == plain


@pytest.mark.parametrize(
    "body",
    [gzip.compress(bytes(10_000_000)), gzip.compress(b"") * 900, gzip.compress(b"") + bytes(1_000_000)],
    ids=["zeros", "members of nothing", "padding"],
)
def test_others_run_while_a_bomb_is_inflated(body: bytes) -> None:
    """One chunk may hold a thousand times its size, or cost as much and hold nothing."""
    turns = 0

    async def read() -> None:
        async for _ in inflated(flowing([body]), ("gzip",), 10_000_000):
            pass

    async def run() -> None:
        nonlocal turns
        reading = asyncio.create_task(read())
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1

    asyncio.run(run())

    assert turns > 30


def test_a_compressed_body_that_is_cut_off_is_malformed() -> None:
    async def read() -> None:
        async for _ in inflated(flowing([gzip.compress(b"x")[:-1]]), ("gzip",), PLENTY):
            pass

    with pytest.raises(BadRequest):
        asyncio.run(read())
