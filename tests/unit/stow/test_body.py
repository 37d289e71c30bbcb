"""The body of a store request as a stream of parts (API rules section 3.1)."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from shared.errors import BadRequest, TooLarge, UnsupportedMediaType
from shared.stow.body import read_parts
from shared.web.multipart import Multipart, PartBegin, PartBytes, PartEnd, Single

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
