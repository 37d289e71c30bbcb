"""What a client says of what it will upload."""

import pytest

from shared.errors import BadRequest, DicomWebError, UnsupportedMediaType
from shared.uploads.begin import Wish, parse_wish

MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'


@pytest.mark.parametrize(
    ("members", "wish"),
    [
        ({}, Wish(None, "application/dicom", "")),
        ({"study": None, "contenttype": None, "contentencoding": None}, Wish()),
        ({"study": "1.2.3 "}, Wish("1.2.3")),
        ({"contenttype": MULTIPART, "contentencoding": "gzip"}, Wish(None, MULTIPART, "gzip")),
    ],
)
def test_a_wish_is_read(members: dict[str, object], wish: Wish) -> None:
    """Nothing said means one DICOM file, of any study."""
    assert parse_wish(members) == wish


@pytest.mark.parametrize(
    ("members", "kind", "names"),
    [
        ({"study": "1.2.x"}, BadRequest, "UID"),
        ({"study": 1}, BadRequest, "$.study"),
        ({"contenttype": ["x"]}, BadRequest, "$.contentType"),
        ({"size": "1"}, BadRequest, "$.size"),
        ({"contenttype": "text/plain"}, UnsupportedMediaType, "Content-Type"),
        ({"contentencoding": "br"}, UnsupportedMediaType, "gzip"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_by_its_name(
    members: dict[str, object], kind: type[DicomWebError], names: str
) -> None:
    """Before anything is uploaded in vain."""
    with pytest.raises(kind) as refused:
        parse_wish(members)
    assert names in str(refused.value)
