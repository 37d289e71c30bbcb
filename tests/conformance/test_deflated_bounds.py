"""Deflated datasets that hold far more than their bytes: what is too much is refused."""

import pytest

from tests.archive import ANY_FRAME, ANY_SYNTAX, Archive, parts_of
from tests.factories import DEFLATED, make_image

MEBIBYTE = 1024 * 1024
VALUE = "00720065"
"""Selector OB Value, before the pixel data."""


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("frames/1", ANY_FRAME),
        ("frames/1", "image/jp2"),
        ("rendered", "image/png"),
        ("thumbnail", "image/png"),
        (f"bulkdata/{VALUE}", "application/octet-stream"),
        ("bulkdata/7FE00010", "application/octet-stream"),
    ],
)
def test_what_lies_too_deep_is_refused(archive: Archive, path: str, accept: str) -> None:
    """API rules section 4.2: 406 for what is too much; the file as such is always to be had."""
    large = make_image(64, transfer_syntax=DEFLATED, SelectorOBValue=bytes(128 * MEBIBYTE))
    archive.keep(large)

    refused = archive.get(f"{large.path}/{path}", accept)

    assert refused.status_code == 406
    assert "as it is stored" in refused.text
    (part,) = parts_of(archive.get(large.path, ANY_SYNTAX))
    assert part.content == large.content
