"""Parts of DICOM JSON are found as if the whole of it were read, in whatever pieces it comes."""

import json
import tracemalloc
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from shared.dicom.json_parts import TooLong, Wanted, find_parts
from tests.unit.dicom.making import pieces

PLENTY = 1_000_000
GROUPS = "52009230"


def text_of(dataset: Mapping[str, object]) -> bytes:
    """The form in which metadata are kept."""
    return json.dumps(dataset, ensure_ascii=False, separators=(",", ":")).encode()


def number(value: int) -> dict[str, object]:
    """An element with a number."""
    return {"vr": "US", "Value": [value]}


TRAPS = ['{"00280010":{', "}}}}", '\\"', "\\", '",', "\\\\", '"', "äöü,{", '\\\\",{"00280010":{"vr":"US"}']
DATASET: dict[str, dict[str, Any]] = {
    "00080005": {"vr": "CS", "Value": TRAPS},
    "00081140": {"vr": "SQ", "Value": [{"00280010": number(9), "00081111": {"vr": "SQ", "Value": [{}, {}]}}]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": '{"00280011":'}]},
    "00280010": number(512),
    "00280011": {"vr": "US"},
    GROUPS: {
        "vr": "SQ",
        "Value": [
            *({"00280010": number(at), "00209111": {"vr": "SQ", "Value": [{"x": "}"}]}} for at in range(40)),
            {},
        ],
    },
    "FFFCFFFC": {"vr": "OB", "InlineBinary": "AAAA"},
}


@pytest.mark.parametrize("largest", [1, 3, 17, 200, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_elements_and_items_are_found(largest: int, seed: int) -> None:
    """Strings may hold braces and quotes, and items may hold what is wanted of the dataset alone."""
    keys = ["00080005", "00280010", "00280011", "00289999", "FFFCFFFC"]
    numbers = [1, 2, 17, 40, 41, 42]

    found = find_parts(
        pieces(text_of(DATASET), Random(seed), largest=largest), Wanted(keys, GROUPS, numbers), PLENTY
    )

    items = DATASET[GROUPS]["Value"]
    assert json.loads(found.elements) == {key: DATASET[key] for key in keys if key in DATASET}
    assert {at: json.loads(item) for at, item in found.items.items()} == {
        at: items[at - 1] for at in numbers if at <= len(items)
    }
    assert found.has_items


@pytest.mark.parametrize("dataset", [{}, {GROUPS: {"vr": "SQ"}}, {GROUPS: {"vr": "SQ", "Value": []}}])
def test_nothing_is_found_where_nothing_is(dataset: Mapping[str, object]) -> None:
    found = find_parts([text_of(dataset)], Wanted(["00280010"], GROUPS, [1]), PLENTY)

    assert (found.elements, found.items, found.has_items) == (b"{}", {}, False)


def test_of_an_element_that_comes_twice_the_last_counts() -> None:
    """As for whoever reads the whole text."""
    twice = text_of({GROUPS: {"vr": "SQ", "Value": [{"00280010": number(1)}, {}]}})[:-1]
    text = twice + b"," + text_of({GROUPS: {"vr": "SQ", "Value": [{"00280010": number(2)}]}})[1:]

    found = find_parts([text], Wanted([], GROUPS, [1, 2]), PLENTY)

    assert {at: json.loads(item) for at, item in found.items.items()} == {1: {"00280010": number(2)}}


@pytest.mark.parametrize("wanted", [Wanted(["00080005"]), Wanted([], GROUPS, range(1, 40))])
def test_what_is_found_is_bounded(wanted: Wanted) -> None:
    with pytest.raises(TooLong):
        find_parts([text_of(DATASET)], wanted, 50)


def test_what_is_not_wanted_takes_no_room() -> None:
    """Half a million items, which are a gigabyte as values."""
    item = b'{"00540081":{"vr":"US","Value":[1]}}'
    text = b'{"00280010":{"vr":"US"},"00540016":{"vr":"SQ","Value":[' + b",".join([item] * 500_000) + b"]}}"
    cut = [text[at : at + 262_144] for at in range(0, len(text), 262_144)]

    tracemalloc.start()
    found = find_parts(cut, Wanted(["00280010"]), PLENTY)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert json.loads(found.elements) == {"00280010": {"vr": "US"}}
    assert peak_bytes < 16 * 1024 * 1024
