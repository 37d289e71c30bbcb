"""UIDs in URLs and bodies (API rules section 1.5)."""

import pytest

from shared.dicom.uid import is_uid, parse_uid, trim_uid
from shared.errors import BadRequest

GOOD = [
    ("1.2.3", "1.2.3"),
    ("1.2.3 ", "1.2.3"),
    ("1.2.3\0", "1.2.3"),
    ("1.02.3", "1.02.3"),
    ("1" * 64, "1" * 64),
]
BAD = [
    "",
    " ",
    "notAStudyInstanceUid",
    "abc.123",
    "1.2.",
    "1.2.3-4",
    "1" * 65,
    "1.2 .3",
    "1.2\n",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "1.2.3/../4",
]


@pytest.mark.parametrize(("text", "uid"), GOOD)
def test_a_uid_is_trimmed_and_accepted(text: str, uid: str) -> None:
    """Padding is no part of a UID; leading zeros are tolerated."""
    assert is_uid(text)
    assert parse_uid(text) == uid
    assert trim_uid(text) == uid


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_uid_is_refused_without_repeating_it(text: str) -> None:
    """The message is for the sender and says what would be right."""
    assert not is_uid(text)
    with pytest.raises(BadRequest, match="1 to 64 digits") as caught:
        parse_uid(text)

    assert not text.strip() or text not in str(caught.value)
