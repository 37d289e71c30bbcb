"""Which elements change with the pixels (PS3.5 section 8, PS3.3 C.7.6.1.1.5)."""

from dataclasses import replace

import pytest

from shared.dicom.codecs import LossyHistory, PixelDescription, changed_elements, pixel_vr
from shared.dicom.codecs.syntaxes import (
    DEFLATED_FRAMES,
    EXPLICIT_LITTLE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_NEAR,
    RLE,
)
from tests.unit.dicom.codecs.making import colour, grey

NONE = LossyHistory()
BASELINE = replace(colour(colours="YBR_FULL_422"), transfer_syntax=JPEG_BASELINE)
LOSSY = ("00282110", "00282112", "00282114")


def _values(
    before: PixelDescription,
    after: PixelDescription,
    history: LossyHistory = NONE,
    ratio: float | None = None,
) -> dict[str, list[object]]:
    changes = changed_elements(before, after, history, ratio)
    return {key: list(element["Value"]) for key, element in changes.items() if element}


def test_a_lossless_change_names_only_the_transfer_syntax() -> None:
    """Grey has no planar configuration."""
    before = replace(grey(bits=16), transfer_syntax=RLE)

    assert _values(before, grey(bits=16)) == {"00020010": [EXPLICIT_LITTLE]}


def test_decompressed_colour_says_so() -> None:
    """With what was lost before, which decompressing does not bring back."""
    assert _values(BASELINE, colour(), NONE, 7.123) == {
        "00020010": [EXPLICIT_LITTLE],
        "00280004": ["RGB"],
        "00280006": [0],
        "00282110": ["01"],
        "00282112": [7.12],
        "00282114": ["ISO_10918_1"],
    }


def test_what_the_dataset_tells_already_is_not_told_twice() -> None:
    """The usual lossy file is complete."""
    history = LossyHistory((9.5,), ("ISO_10918_1",), lossy=True)

    changes = _values(BASELINE, colour(), history, 7.0)

    assert [changes.get(key) for key in LOSSY] == [["01"], None, None]


def test_a_second_lossy_step_is_added_to_the_first() -> None:
    """PS3.3 C.7.6.1.1.5: one value for each step."""
    history = LossyHistory((9.5,), ("ISO_15444_1",), lossy=True)

    changes = _values(colour(), BASELINE, history, 12.0)

    assert [changes.get(key) for key in LOSSY] == [["01"], [9.5, 12.0], ["ISO_15444_1", "ISO_10918_1"]]


@pytest.mark.parametrize("syntax", [JPEG_2000, JPEG_LS_NEAR])
def test_a_dataset_that_denies_loss_is_believed_where_it_may_be_true(syntax: str) -> None:
    """Streams of these syntaxes may have lost nothing; JPEG Baseline always has."""
    denied = LossyHistory(lossy=False)

    assert "00282110" not in _values(replace(grey(), transfer_syntax=syntax), grey(), denied)
    assert _values(replace(grey(), transfer_syntax=JPEG_BASELINE), grey(), denied)["00282110"] == ["01"]


def test_bits_are_named_when_they_change() -> None:
    """And only those that do."""
    changes = _values(grey(bits=16, stored=12), grey(bits=16, stored=16))

    assert {key: value for key, value in changes.items() if key.startswith("0028")} == {
        "00280101": [16],
        "00280102": [15],
    }


def test_offset_tables_of_the_old_fragments_go() -> None:
    """They would point nowhere."""
    changes = changed_elements(replace(grey(), transfer_syntax=RLE), grey(), NONE)

    assert [key for key, element in changes.items() if element is None] == [
        "7FE00001",
        "7FE00002",
        "7FE00003",
    ]


@pytest.mark.parametrize(
    ("description", "vr"),
    [
        (grey(), "OB"),
        (grey(bits=1), "OB"),
        (grey(bits=16), "OW"),
        (grey(bits=32), "OW"),
        (replace(grey(bits=16), transfer_syntax=JPEG_2000_LOSSLESS), "OB"),
        (replace(grey(bits=16), transfer_syntax=DEFLATED_FRAMES), "OB"),
        (replace(grey(bits=32), floating=True), "OF"),
        (replace(grey(bits=64), floating=True), "OD"),
    ],
)
def test_pixel_data_has_the_vr_of_its_form(description: PixelDescription, vr: str) -> None:
    """PS3.5 annexes A.2 and A.4."""
    assert pixel_vr(description) == vr
