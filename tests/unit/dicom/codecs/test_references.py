"""Tables and profiles that metadata name by reference."""

from collections.abc import Mapping

from shared.dicom.codecs import appearance_of, presentation_of, references, with_values
from shared.dicom.codecs.luts import Lut


def _element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


def _reference(path: str) -> dict[str, object]:
    return {"vr": "OW", "BulkDataURI": path}


TABLE = {"00283002": _element("US", 2, 0, 8), "00283006": _reference("00283010/0/00283006")}
DATASET: Mapping[str, object] = {
    "00080016": _element("UI", "1.2.3"),
    "00100010": _element("PN", {"Alphabetic": "Doe"}),
    "00282000": _reference("00282000"),
    "00283010": _element("SQ", TABLE),
    "00480105": _element("SQ", {"00282000": _reference("00480105/0/00282000")}),
    "52009230": _element("SQ", *({"00289132": _element("SQ", {"00281050": _element("DS", number),
                                                              "00281051": _element("DS", 10)})}
                                 for number in (1, 2, 3))),
    "54000100": _element("SQ", {"54001010": _reference("54000100/0/54001010")}),
    "7FE00010": _reference("7FE00010"),
}  # fmt: skip


def test_a_frame_takes_its_own_groups_and_nothing_else_along() -> None:
    """In what is left it is frame 1."""
    for number in (1, 2, 3):
        found = presentation_of(DATASET, number)

        window = appearance_of(found, 1).window
        assert window is not None
        assert window.center == number
        assert set(found) == {"00080016", "00283010", "52009230"}
    assert "52009230" not in presentation_of(DATASET, 4)
    assert {"00282000", "00480105"} < set(presentation_of(DATASET, 1, profile=True))


def test_what_lies_elsewhere_is_found_at_all_levels() -> None:
    """Tables always, profiles when they are wanted, pixels never."""
    assert list(references(presentation_of(DATASET, 1))) == ["00283010/0/00283006"]
    found = set(references(presentation_of(DATASET, 1, profile=True)))
    assert found == {"00283010/0/00283006", "00282000", "00480105/0/00282000"}


def test_values_are_put_in_their_places() -> None:
    """What is not known stays a reference, and counts as absent."""
    shown = presentation_of(DATASET, 4, profile=True)
    values = {"00283010/0/00283006": b"\1\0\2\0", "00480105/0/00282000": b"icc"}

    appearance = appearance_of(with_values(shown, values), 1)

    assert appearance.voi_lut == Lut(0, 8, b"\1\0\2\0")
    assert appearance.icc_profile == b"icc"
    assert appearance_of(with_values(shown, {}), 1).voi_lut is None
    assert list(references(with_values(shown, values))) == ["00282000"]


def test_what_is_no_element_or_sequence_is_passed_over() -> None:
    """Datasets lie."""
    odd = {"00283010": "text", "00283000": {"vr": "SQ"}, "00281201": {"vr": "OW", "BulkDataURI": 5},
           "52009229": _element("SQ", None, 5)}  # fmt: skip

    assert list(references(odd)) == []
    assert with_values(odd, {"x": b""}) is not odd
    assert presentation_of({"52009230": 5}, 1) == {}
