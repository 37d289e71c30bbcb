"""What search rows hold, made small."""

import pytest

from shared.storage.compact import pack_values, unpack_values
from shared.storage.rows import Values, render_values

STUDY: Values = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080020": {"vr": "DA", "Value": ["20240131"]},
    "00080030": {"vr": "TM", "Value": ["101500"]},
    "00080050": {"vr": "SH", "Value": ["ACC0001234"]},
    "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Röntgen^Wilhelm"}]},
    "00081030": {"vr": "LO", "Value": ["CT abdomen with contrast"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "山田^太郎"}]},
    "00100020": {"vr": "LO", "Value": ["PAT000123"]},
    "00100030": {"vr": "DA", "Value": ["19800102"]},
    "00100040": {"vr": "CS", "Value": ["F"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.8.498.12345678901234567890"]},
    "00200010": {"vr": "SH", "Value": ["4711"]},
    "00080061": {"vr": "CS", "Value": ["CT"]},
}


@pytest.mark.parametrize(
    "values",
    [
        {},
        STUDY,
        {"00100020": {"vr": "LO"}},
        {"00101030": {"vr": "DS", "Value": [70.5, None]}},
        {"00400275": {"vr": "SQ", "Value": [{"00401001": {"vr": "SH", "Value": ["A"]}}, {}]}},
        {"00081030": {"vr": "LO", "Value": ["\x01\ufffd" * 10_000]}},
    ],
)
def test_values_come_back_as_they_were(values: Values) -> None:
    assert unpack_values(pack_values(values)) == values


def test_a_study_takes_some_250_bytes() -> None:
    """Dozens of rows hold it."""
    assert len(pack_values(STUDY)) < 260
    assert len(pack_values(STUDY)) < len(render_values(STUDY)) / 3


@pytest.mark.parametrize("packed", [None, "{}", b"", b"\x00", b"\x02" + pack_values({})[1:]])
def test_what_another_version_wrote_is_not_guessed_at(packed: object) -> None:
    with pytest.raises(ValueError, match="this version"):
        unpack_values(packed)
