"""Elements written anew in explicit VR little endian, some of them replaced (PS3.5 section 7, annex A)."""

import struct

import pytest

from shared.dicom.errors import NotDicom
from shared.dicom.headers import Coding
from shared.dicom.rewrite import PixelHead, rewrite, turned
from tests.unit.dicom.making import ITEM_END, SEQUENCE_END, UNDEFINED, explicit, implicit, item, open_item

LITTLE, IMPLICIT, BIG = Coding.EXPLICIT_LITTLE, Coding.IMPLICIT, Coding.EXPLICIT_BIG
SEQUENCE, NAME, ROWS, PIXELS = 0x00081140, 0x00100010, 0x00280010, 0x7FE00010
NAMED = explicit(NAME, "PN", b"A^B ")


def big(tag: int, vr: str, value: bytes = b"", *, length: int | None = None) -> bytes:
    """An element in big endian."""
    return explicit(tag, vr, value, length=length, order=">")


def big_item(content: bytes, *, length: int | None = None) -> bytes:
    """An item in big endian."""
    return b"\xff\xfe\xe0\x00" + struct.pack(">I", len(content) if length is None else length) + content


def nested(content: bytes) -> bytes:
    """A sequence with one item, as it comes out: delimiters in place of lengths."""
    return explicit(SEQUENCE, "SQ", open_item(content) + SEQUENCE_END, length=UNDEFINED)


IMPLICIT_CASES = [
    (implicit(NAME, b"A^B "), NAMED),
    (implicit(ROWS, b"\4\0"), explicit(ROWS, "US", b"\4\0")),
    (implicit(SEQUENCE, item(implicit(NAME, b"A^B "))), nested(NAMED)),
    (implicit(SEQUENCE, open_item(implicit(NAME, b"A^B ")) + SEQUENCE_END, length=UNDEFINED), nested(NAMED)),
    (implicit(SEQUENCE), explicit(SEQUENCE, "SQ", SEQUENCE_END, length=UNDEFINED)),
    # What nobody knows stays bytes; a private sequence is known by its missing length.
    (implicit(0x00091001, b"abcd"), explicit(0x00091001, "UN", b"abcd")),
    (
        implicit(0x00091001, open_item(implicit(NAME, b"A^B ")) + SEQUENCE_END, length=UNDEFINED),
        explicit(0x00091001, "SQ", open_item(NAMED) + SEQUENCE_END, length=UNDEFINED),
    ),
    # "US or SS" as Pixel Representation says.
    (
        implicit(0x00280103, b"\1\0") + implicit(0x00280106, b"\xff\xff"),
        explicit(0x00280103, "US", b"\1\0") + explicit(0x00280106, "SS", b"\xff\xff"),
    ),
    (implicit(NAME, b"A^B"), explicit(NAME, "PN", b"A^B ")),
    (implicit(0x00080000, b"\4\0\0\0") + implicit(NAME, b"A^B "), NAMED),
    # A value too long for two bytes of length becomes UN (section 6.2.2).
    (implicit(NAME, b"A" * 70_000), explicit(NAME, "UN", b"A" * 70_000)),
    (implicit(NAME, b"A^B ") + bytes(40), NAMED),
]


@pytest.mark.parametrize(("before", "after"), IMPLICIT_CASES)
def test_implicit_elements_get_their_vr(before: bytes, after: bytes) -> None:
    """Their values stay the bytes they are."""
    found = rewrite(before, IMPLICIT, {})

    assert (found.elements, found.pixels) == (after, None)


BIG_CASES = [
    (big(NAME, "PN", b"A^B "), NAMED),
    (big(ROWS, "US", b"\1\2"), explicit(ROWS, "US", b"\2\1")),
    (big(0x00280009, "AT", b"\0\x18\x10\x63"), explicit(0x00280009, "AT", b"\x18\0\x63\x10")),
    (big(0x00189073, "FD", bytes(range(8))), explicit(0x00189073, "FD", bytes(range(7, -1, -1)))),
    (big(0x00281201, "OW", b"\1\2\3\4"), explicit(0x00281201, "OW", b"\2\1\4\3")),
    (big(0x00091001, "UN", b"\1\2\3\4"), explicit(0x00091001, "UN", b"\1\2\3\4")),
    (big(SEQUENCE, "SQ", big_item(big(ROWS, "US", b"\1\2"))), nested(explicit(ROWS, "US", b"\2\1"))),
]


@pytest.mark.parametrize(("before", "after"), BIG_CASES)
def test_numbers_of_big_endian_are_turned(before: bytes, after: bytes) -> None:
    """By the length of a number of their VR (section 7.3)."""
    assert rewrite(before, BIG, {}).elements == after


def test_explicit_elements_are_copied_as_they_are() -> None:
    """Also what is odd about them: sequences with and without length, fragments of an icon."""
    icon = item(b"") + item(b"\xff\xd8\xff\xd9") + SEQUENCE_END
    dataset = (
        NAMED
        + explicit(SEQUENCE, "SQ", item(NAMED))
        + explicit(0x00082112, "SQ", open_item(NAMED) + item(NAMED) + SEQUENCE_END, length=UNDEFINED)
        + explicit(0x00091001, "UN", open_item(implicit(NAME, b"A^B ")) + SEQUENCE_END, length=UNDEFINED)
        + explicit(0x00091002, "OB", icon, length=UNDEFINED)
    )

    assert rewrite(dataset, LITTLE, {}).elements == dataset


@pytest.mark.parametrize("end", [ITEM_END + SEQUENCE_END, SEQUENCE_END])
def test_a_sequence_may_end_without_its_item(end: bytes) -> None:
    """As the reader of files takes it."""
    value = item(implicit(NAME, b"A^B "), length=UNDEFINED) + end
    dataset = implicit(SEQUENCE, value, length=UNDEFINED) + implicit(ROWS, b"\4\0")

    assert rewrite(dataset, IMPLICIT, {}).elements == nested(NAMED) + explicit(ROWS, "US", b"\4\0")


@pytest.mark.parametrize("coding", [LITTLE, IMPLICIT])
def test_elements_are_put_in_replaced_and_removed_in_their_place(coding: Coding) -> None:
    first, last = explicit(0x00080016, "UI", b"1.2\0"), explicit(0x00280004, "CS", b"RGB ")
    dataset = first + explicit(SEQUENCE, "SQ", item(last)) + NAMED + last
    if coding is IMPLICIT:
        dataset = implicit(0x00080016, b"1.2\0") + implicit(NAME, b"A^B ") + implicit(0x00280004, b"RGB ")
    other, new = explicit(0x00280004, "CS", b"YBR_FULL"), explicit(0x00280006, "US", b"\0\0")

    found = rewrite(dataset, coding, {NAME: None, 0x00280004: other, 0x00280006: new, 0x7FE00001: None})

    assert found.elements.startswith(first)
    assert NAMED not in found.elements
    assert found.elements.endswith(other + new)
    assert found.elements.count(other) == 1


@pytest.mark.parametrize(
    ("coding", "head", "expected"),
    [
        (LITTLE, explicit(PIXELS, "OW", b"ab", length=8), PixelHead(PIXELS, "OW", 24, 8)),
        (LITTLE, explicit(PIXELS, "OB", item(b""), length=UNDEFINED), PixelHead(PIXELS, "OB", 24, None)),
        (IMPLICIT, implicit(PIXELS, length=8), PixelHead(PIXELS, "OW", 20, 8)),
        (LITTLE, explicit(0x7FE00008, "OF", length=8), PixelHead(0x7FE00008, "OF", 24, 8)),
    ],
)
def test_it_stops_at_pixel_data_that_are_not_all_there(
    coding: Coding, head: bytes, expected: PixelHead
) -> None:
    """What is to be put in before them is; they and what follows are the caller's."""
    before = implicit(NAME, b"A^B ") if coding is IMPLICIT else NAMED
    new = explicit(0x00282110, "CS", b"01")

    found = rewrite(before + head, coding, {0x00282110: new, 0x7FE00001: None})

    assert found.elements == NAMED + new
    assert found.pixels == expected


def test_pixel_data_that_are_all_there_are_an_element_like_others() -> None:
    found = rewrite(big(PIXELS, "OW", b"\1\2\3\4"), BIG, {})

    assert (found.elements, found.pixels) == (explicit(PIXELS, "OW", b"\2\1\4\3"), None)
    assert found.holds_pixels
    assert not rewrite(NAMED, LITTLE, {}).holds_pixels


@pytest.mark.parametrize(
    "dataset",
    [
        NAMED[:-1],
        NAMED + b"abc",
        explicit(0x00281201, "OW", length=4)[:10],
        explicit(SEQUENCE, "SQ", item(NAMED), length=UNDEFINED),
        explicit(SEQUENCE, "SQ", NAMED, length=UNDEFINED),
        explicit(0x00091002, "OB", item(b"ab"), length=UNDEFINED),
        ITEM_END,
        explicit(0x00020010, "UI", b"1.2\0"),
    ],
)
def test_what_cannot_be_followed_is_refused(dataset: bytes) -> None:
    with pytest.raises(NotDicom):
        rewrite(dataset, LITTLE, {})


def test_sequences_without_end_in_each_other_are_refused() -> None:
    """Before the interpreter's own limit."""
    head = explicit(SEQUENCE, "SQ", item(b"", length=UNDEFINED), length=UNDEFINED)

    with pytest.raises(NotDicom, match="deep"):
        rewrite(head * 1000, LITTLE, {})


@pytest.mark.parametrize("size", [2, 4, 8])
def test_turned_twice_is_as_before(size: int) -> None:
    numbers = bytes(range(64))

    assert turned(turned(numbers, size), size) == numbers
    assert turned(numbers, size)[:size] == numbers[:size][::-1]
    with pytest.raises(NotDicom):
        turned(numbers[:-1], size)
