"""What an odd file may cost: time in proportion to its bytes, and memory that it does not decide about."""

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

import pytest

from shared.dicom import meta as meta_module
from shared.dicom import part10 as part10_module
from shared.dicom.part10 import PREAMBLE, NotDicom, Part10File, Part10Reader
from shared.dicom.text import charset_of
from shared.dicom.validate import Checks
from tests.unit.dicom.making import (
    DEFLATED,
    IMPLICIT,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    encapsulated,
    explicit,
    file_of,
    image,
    implicit,
    item,
    json_of,
    meta,
    open_item,
    pieces,
    read,
)

MEBIBYTE = 2**20
NAME = explicit(0x00100010, "PN", b"A^B ")
UIDS = (
    explicit(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0")
    + explicit(0x00080018, "UI", b"1.2.3.4\0")
    + explicit(0x0020000D, "UI", b"1.2 ")
    + explicit(0x0020000E, "UI", b"1.2.3\0")
)


def seconds(call: Callable[[], object]) -> float:
    """The processor time of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def compressed(dataset: bytes) -> bytes:
    """A file with a deflated dataset."""
    made = zlib.compressobj(9, wbits=-15)
    return file_of(made.compress(dataset) + made.flush(), DEFLATED)


def read_checked(data: bytes) -> Part10File:
    """Read a file, checking all its values."""
    reader = Part10Reader(checks=Checks.ALL)
    reader.feed(data)
    return reader.finish()


SLOW = {
    "digits that are no number": implicit(0x00180050, b"1" * (MEBIBYTE - 2) + b"x "),
    "digits behind a point": implicit(0x00180050, b"1." + b"1" * (MEBIBYTE - 4) + b"x "),
    "digits": implicit(0x00200013, b"1" * MEBIBYTE),
    "many numbers and one that is none": implicit(0x00201041, b"1\\" * (MEBIBYTE // 2 - 1) + b"x "),
    "names without end": implicit(0x00100010, b"a\\" * (MEBIBYTE // 2)),
    "carets": implicit(0x00100010, b"^" * MEBIBYTE),
    "groups": implicit(0x00100010, b"=" * MEBIBYTE),
    "blanks": implicit(0x00081030, b" " * (MEBIBYTE - 1) + b"x"),
    "blanks and NULs": implicit(0x00081030, b" \0" * (MEBIBYTE // 2 - 1) + b"x "),
    "components of a UID": implicit(0x00080014, b"1." * (MEBIBYTE // 2)),
    "escape sequences": implicit(0x00080005, b"\\ISO 2022 IR 87 ")
    + implicit(0x00104000, b"\x1b$B" * (MEBIBYTE // 3)),
    "times": implicit(0x0008002A, b"2" * MEBIBYTE),
    "control characters": implicit(0x00104000, b"\1" * MEBIBYTE),
    "empty values": implicit(0x00104000, b"\\" * MEBIBYTE),
}


@pytest.mark.parametrize("dataset", SLOW.values(), ids=[*SLOW])
def test_a_value_costs_time_in_proportion_to_its_length(dataset: bytes) -> None:
    """Twice the length may take twice the time, but a hostile mebibyte is done with in seconds."""
    assert seconds(lambda: read_checked(file_of(dataset, IMPLICIT))) < 10


MANY = {
    "empty items": explicit(0x00081140, "SQ", item(b"") * 100_000),
    "items without a length": explicit(0x00081140, "SQ", open_item(b"") * 100_000),
    "elements": b"".join(explicit(0x00091001, "SH", b"x ") for _ in range(100_000)),
    "tags nobody knows": b"".join(implicit(0x00090000 + n, b"") for n in range(1, 60_000)),
    "fragments": encapsulated([b""] * 100_000),
    "sequences that search looks for": explicit(0x00081032, "SQ", b"") * 50_000,
}


@pytest.mark.parametrize("dataset", MANY.values(), ids=[*MANY])
def test_many_small_things_cost_time_in_proportion_to_their_number(dataset: bytes) -> None:
    """Microseconds each."""
    assert seconds(lambda: read_checked(file_of(dataset, JPEG))) < 8


def test_a_front_that_comes_byte_by_byte_is_not_read_for_every_byte() -> None:
    """64 KiB of group 0002 would be some five hundred million headers."""
    front = PREAMBLE + explicit(0x00020002, "LO") * 8000 + meta()
    data = front + UIDS
    reader = Part10Reader()

    def feed() -> None:
        for at in range(len(data)):
            reader.feed(data[at : at + 1])

    assert seconds(feed) < 10
    assert reader.finish().identity.instance == "1.2.3.4"


@pytest.mark.parametrize("over", [0, 2])
def test_group_0002_has_one_limit_however_it_comes(over: int) -> None:
    """Whole, in pieces and byte by byte."""
    rest = meta_module.MAX_META_BYTES - len(meta()) - 12 + over
    data = PREAMBLE + meta() + explicit(0x00020102, "OB", bytes(rest)) + UIDS
    random = Random(over)

    for parts in ([data], pieces(data, random, largest=3000), (data[at : at + 1] for at in range(len(data)))):
        if over:
            with pytest.raises(NotDicom, match="too long"):
                read(data, parts)
        else:
            assert read(data, parts).identity.study == "1.2"


@pytest.mark.parametrize(
    "syntax", [b"", b"x", b"1.2\r\nX: y", b"1.2.\xe9", b"1." * 40, b"1.2\\1.3"], ids=repr
)
def test_a_transfer_syntax_that_is_no_uid_is_refused(syntax: bytes) -> None:
    """It is named in headers of answers."""
    data = PREAMBLE + explicit(0x00020010, "UI", syntax) + UIDS

    with pytest.raises(NotDicom, match="no transfer syntax"):
        read(data)


def test_a_uid_of_the_instance_that_comes_twice_must_be_the_same() -> None:
    """A large file may be on its way into storage under the first."""
    same = read(file_of(UIDS + explicit(0x0020000D, "UI", b"1.2 ")))

    assert same.identity.study == "1.2"
    for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E):
        with pytest.raises(NotDicom, match="comes twice"):
            read(file_of(UIDS + explicit(tag, "UI", b"9.9.9\0")))


def test_uids_within_sequences_may_be_others() -> None:
    """References name other instances."""
    reference = explicit(0x00081140, "SQ", item(explicit(0x0020000D, "UI", b"9.9.9\0")) * 2)

    assert read(file_of(UIDS[:50] + reference + UIDS[50:])).identity.study == "1.2"


FOREIGN = (0x00020010, 0x00290000, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD)


@pytest.mark.parametrize("tag", FOREIGN, ids=lambda tag: f"{tag:08X}")
def test_what_belongs_elsewhere_is_no_sequence_for_want_of_a_length(tag: int) -> None:
    """Group 0002, a group length and delimiters stay out of metadata."""
    with pytest.raises(NotDicom):
        read(file_of(explicit(tag, "UN", item(NAME) + SEQUENCE_END, length=UNDEFINED)))


def test_elements_that_inflate_beyond_reason_are_refused_soon() -> None:
    """Forty kilobytes would otherwise be read for a minute."""
    data = compressed(explicit(0x00291001, "LO") * (64 * 2**17))
    reader = Part10Reader()

    def feed() -> None:
        for at in range(0, len(data), 4096):
            reader.feed(data[at : at + 4096])

    began = time.process_time()
    with pytest.raises(NotDicom, match="once it is inflated"):
        feed()
    assert time.process_time() - began < 10


def test_what_inflates_as_that_of_real_files_is_read() -> None:
    """Functional groups of 20,000 frames, which shrink to a tenth."""
    random = Random(1)
    groups = b"".join(
        item(
            explicit(0x00209111, "SQ", item(explicit(0x00189074, "DT", b"%020d" % random.getrandbits(60))))
            + explicit(0x00209113, "SQ", item(explicit(0x00200032, "DS", b"%.6f\\0\\1 " % random.random())))
        )
        for _ in range(20_000)
    )

    file = read(compressed(UIDS + explicit(0x52009230, "SQ", groups)))

    assert len(json_of(file)["52009230"]["Value"]) == 20_000


def test_pixels_may_shrink_a_thousandfold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is looked at element by element counts."""
    monkeypatch.setattr(part10_module, "FREE_INFLATED_ELEMENTS_BYTES", 4096)
    pixels = image(4096, 4096) + explicit(0x7FE00010, "OB", bytes(2**24))

    file = read(compressed(UIDS + pixels))

    assert file.frames is not None
    assert file.frames.count == 1


@pytest.mark.parametrize("extra", [-2, 0, 2, 20_000])
def test_what_may_inflate_does_not_depend_on_the_pieces(extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the edge of the limit too."""
    monkeypatch.setattr(part10_module, "FREE_INFLATED_ELEMENTS_BYTES", 10_000)
    monkeypatch.setattr(part10_module, "DEFLATED_STEP_BYTES", 64)
    data = compressed(UIDS + explicit(0x00291001, "LO") * (1300 + extra))

    def outcome(largest: int) -> object:
        try:
            return read(data, pieces(data, Random(largest), largest=largest))
        except NotDicom as error:
            return str(error)

    assert len({repr(outcome(largest)) for largest in (1, 3, 50, 70, 1000, 10**6)}) == 1


def test_a_deflated_file_fed_at_once_is_not_copied_over_and_over() -> None:
    """Ten megabytes that do not shrink."""
    data = compressed(explicit(0x00420011, "OB", Random(1).randbytes(10 * MEBIBYTE)))

    assert seconds(lambda: read(data)) < 10


def peak_of(data: bytes, rounds: int) -> int:
    """The most memory that reading takes while the same bytes come again and again."""
    tracemalloc.start()
    try:
        reader = Part10Reader()
        reader.feed(file_of(b"", IMPLICIT))
        for _ in range(rounds):
            reader.feed(data)
        reader.finish()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


KEEPERS = {
    "an attribute of search again and again": implicit(0x00100010, b"x" * 50_000),
    "a character set again and again": implicit(0x00080005, b"ISO_IR 100\\" + b"x" * 60_000),
}


@pytest.mark.parametrize("data", KEEPERS.values(), ids=[*KEEPERS])
def test_what_comes_again_is_not_kept_again(data: bytes) -> None:
    """Seven times as much of it takes no more memory."""
    charset_of.cache_clear()
    few, many = peak_of(data, 60), peak_of(data, 400)

    assert many < few + MEBIBYTE


def test_creators_are_kept_within_bounds() -> None:
    """Of more, and of longer ones, the dictionary knows nothing anyway."""
    many = b"".join(
        implicit(0x00090010 + creator + (group << 17), b"c" * 2000)
        for group in range(40)
        for creator in range(200)
    )
    known = implicit(0x00770010, b"SIEMENS MEDCOM HEADER ")

    data = file_of(known + many, IMPLICIT)
    tracemalloc.start()
    try:
        file = read(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert json_of(file)["00770010"] == {"vr": "LO", "Value": ["SIEMENS MEDCOM HEADER"]}
    assert peak < 8 * MEBIBYTE


def test_a_short_element_at_the_end_is_read_however_much_was_waited_for_before() -> None:
    """A value that came as UN is waited for whole; what follows a value passed over is not."""
    before = UIDS + explicit(0x00200010, "UN", b"CT" * 20) + explicit(0x00291001, "OB", bytes(200))
    data = file_of(before + explicit(0x00300010, "LO", b"ab"))
    whole = read(data)

    for size in range(1, 300):
        assert read(data, [data[at : at + size] for at in range(0, len(data), size)]) == whole


@pytest.mark.parametrize("value", [bytes(100), b""], ids=["long", "empty"])
def test_a_file_may_end_with_a_value_that_ends_its_sequence(value: bytes) -> None:
    """Nothing follows what is passed over, and yet the sequence is complete, in pieces of any size."""
    last = explicit(0x00420011, "OB", value)
    dataset = UIDS + explicit(0x00420012, "SQ", item(explicit(0x00420013, "SQ", item(last))))

    for data in (file_of(dataset), file_of(dataset) + bytes(1)):
        whole = read(data)
        for size in range(1, 200):
            assert read(data, [data[at : at + size] for at in range(0, len(data), size)]) == whole
        assert list(json_of(whole)) == ["00080016", "00080018", "0020000D", "0020000E", "00420012"]


ODD = file_of(
    UIDS[:50]
    + explicit(0x00081140, "SQ", item(NAME) + open_item(NAME))
    + explicit(0x00081145, "SQ", open_item(NAME) + SEQUENCE_END, length=UNDEFINED)
    + UIDS[50:]
    + image(frames=2)
    + explicit(0x00420011, "OB", bytes(30))
    + encapsulated([b"one\xff\xd9\0", b"two\xff\xd9\0"], struct.pack("<2I", 0, 14)),
    JPEG,
)
"""A file with a bit of everything."""


def test_a_file_cut_anywhere_is_refused_or_ends_between_two_elements() -> None:
    """Every position, not some."""
    whole = json_of(read(ODD))
    kept = []

    for end in range(len(ODD)):
        try:
            cut = read(ODD[:end])
        except NotDicom:
            continue
        kept.append(end)
        found = json_of(cut)
        assert found == {tag: whole[tag] for tag in found}
        assert cut.length == end
        assert cut.frames is None or end > len(ODD) - 9

    # Behind group 0002 and behind each element but the last, and before the last delimiter, which loses no
    # frame.
    assert len(kept) == 1 + len(whole) - 1 + 1
