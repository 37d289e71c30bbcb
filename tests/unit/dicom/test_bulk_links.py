"""BulkDataURIs in metadata as they stream by."""

import json
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import pytest

from shared.dicom.bulk_links import Drop, Rebase, changed, drop_bulk, link_bulk
from shared.dicom.metadata import inflate
from shared.dicom.plans import BULK_VRS
from tests.unit.dicom.making import explicit, file_of, item, pieces, read

BASE = "https://h/v2/studies/1/series/2/instances/3/bulkdata"
DELUSIVE = (
    '"BulkDataURI":"',
    '","7FE00010":{"vr":"OW"},"',
    '{"vr":"OB","BulkDataURI":"7FE00010"}',
    'a},"x',
    '\\"BulkDataURI\\":\\"',
    "\\",
    "ends with a backslash\\",
)

Dataset = dict[str, Any]  # DICOM JSON of any shape.


def made(random: Random, depth: int = 0) -> Dataset:
    """A dataset with bulk data here and there, and text that looks like it."""
    choices: list[Callable[[], Dataset]] = [
        lambda: {"vr": random.choice(sorted(BULK_VRS))},
        lambda: {"vr": random.choice(("OB", "UT", "UN")), "BulkDataURI": "00081140/7/7FE00010"},
        lambda: {"vr": "OW", "InlineBinary": "AAAA" * random.randint(0, 20)},
        lambda: {"vr": "LO"},
        lambda: {"vr": "UT", "Value": [random.choice(DELUSIVE) * random.randint(1, 3)]},
        lambda: {"vr": "SQ", "Value": [made(random, depth + 1) for _ in range(random.randint(0, 3))]},
    ]
    count = random.randint(0, 7)
    keys = sorted(random.sample(range(1 << 32), count))
    return {f"{key:08X}": random.choice(choices[: 6 if depth < 3 else 5])() for key in keys}


def without_bulk(dataset: Dataset) -> Dataset:
    """What Azure leaves."""
    return {
        key: {**element, "Value": [without_bulk(item) for item in element["Value"]]}
        if element["vr"] == "SQ" and "Value" in element
        else element
        for key, element in dataset.items()
        if element["vr"] not in BULK_VRS and "BulkDataURI" not in element
    }


def linked(dataset: Dataset) -> Dataset:
    """The same with absolute URLs."""
    found = {}
    for key, element in dataset.items():
        changed = dict(element)
        if "BulkDataURI" in element:
            changed["BulkDataURI"] = f"{BASE}/{element['BulkDataURI']}"
        if element["vr"] == "SQ":
            changed["Value"] = [linked(item) for item in element["Value"]]
        found[key] = changed
    return found


def text_of(dataset: Dataset) -> bytes:
    """As it is stored."""
    return json.dumps(dataset, separators=(",", ":"), ensure_ascii=False).encode()


def cuts(text: bytes, seed: int) -> Iterator[Iterable[bytes]]:
    """A text whole and cut in many ways."""
    yield [text]
    for largest in (1, 2, 7, 30, 200):
        yield pieces(text, Random(seed), largest=largest)


@pytest.mark.parametrize("seed", range(300))
def test_references_become_absolute_and_nothing_else_changes(seed: int) -> None:
    """Wherever the pieces are cut (clients checklist 27)."""
    dataset = made(Random(seed))

    for cut in cuts(text_of(dataset), seed):
        assert b"".join(link_bulk(cut, BASE)) == text_of(linked(dataset))


@pytest.mark.parametrize("seed", range(300))
def test_bulk_data_are_left_out_and_what_stays_is_json(seed: int) -> None:
    """As Azure has it: at all levels, also where nothing else is left (API rules section 7.2)."""
    dataset = made(Random(seed))

    for cut in cuts(text_of(dataset), seed):
        assert b"".join(drop_bulk(cut)) == text_of(without_bulk(dataset))


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://h/v2/", "http://127.0.0.1:7071/v1/"),
        ("https://h/v2/", "https://h/v2/partitions/p/"),
        ("https://h/v2/partitions/p/", "https://h/v2/"),
    ],
)
def test_several_instances_in_a_row_get_another_base(seed: int, old: str, new: str) -> None:
    """Wherever the pieces are cut, also where the one base begins like the other."""
    many = [linked(made(Random(seed + number))) for number in range(3)]
    text = b",".join(map(text_of, many)).replace(b'I":"https://h/v2/', b'I":"' + old.encode())
    wanted = b",".join(map(text_of, many)).replace(b'I":"https://h/v2/', b'I":"' + new.encode())

    for cut in cuts(text, seed):
        assert b"".join(changed(cut, Rebase(old, new))) == wanted


@pytest.mark.parametrize("seed", range(100))
def test_bulk_data_are_left_out_of_several_instances_in_a_row(seed: int) -> None:
    """As of each alone."""
    many = [made(Random(seed + number)) for number in range(3)]

    for cut in cuts(b",".join(map(text_of, many)), seed):
        assert b"".join(changed(cut, Drop())) == b",".join(text_of(without_bulk(each)) for each in many)


def test_metadata_that_had_to_be_sorted_are_read_alike() -> None:
    """The VR stays the first member of every element (a file whose elements are out of order)."""
    inner = item(explicit(0x00091001, "OB", b"ab") + explicit(0x00080100, "SH", b"X "))
    dataset = (
        explicit(0x00420011, "OB", b"%PDF")
        + explicit(0x00081140, "SQ", inner)
        + explicit(0x00080060, "CS", b"CT")
    )
    file = read(file_of(dataset))

    plain = json.loads(b"".join(drop_bulk(inflate(file.metadata))))
    whole = json.loads(b"".join(link_bulk(inflate(file.metadata), BASE)))

    assert list(plain) == ["00080060", "00081140", "00083002"]
    assert plain["00081140"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["X"]}}]
    assert list(whole) == ["00080060", "00081140", "00083002", "00420011"]
    (found,) = whole["00081140"]["Value"]
    assert found["00091001"] == {"vr": "OB", "BulkDataURI": f"{BASE}/00081140/0/00091001"}


@pytest.mark.parametrize("work", [drop_bulk, lambda pieces: link_bulk(pieces, BASE)], ids=["drop", "link"])
def test_little_is_held_back(work: Callable[[Iterable[bytes]], Iterator[bytes]]) -> None:
    """Memory does not grow with the metadata, nor with a value."""
    text = text_of({"00080005": {"vr": "UT", "Value": ["x" * 100_000]}, "7FE00010": {"vr": "OW"}})
    fed = given = 0

    def feed() -> Iterator[bytes]:
        nonlocal fed
        for at in range(0, len(text), 1000):
            assert fed - given < 3000
            fed += len(text[at : at + 1000])
            yield text[at : at + 1000]

    for piece in work(feed()):
        given += len(piece)
