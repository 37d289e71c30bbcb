"""In which form pictures go out: API rules section 6, clients sections 4.1 and 6."""

import pytest

from shared.errors import BadRequest, NotAcceptable
from shared.web.accept import Form, parse_accept
from shared.web.pictures import (
    DOCUMENTS,
    PICTURES,
    choose_picture,
    choose_picture_or_pictures,
    choose_pictures,
)

OHIF = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, "image/jpeg"),
        ("*/*", "image/jpeg"),
        (OHIF, "image/jpeg"),
        (BROWSER, "image/jpeg"),
        ("image/*;q=0.1, image/gif;q=0.2", "image/gif"),
        ("image/png;q=0.1, image/jpeg;q=0", "image/png"),
        ('multipart/related; type="image/png"; transfer-syntax=1.2.3', "image/png"),
    ],
)
def test_one_item_is_a_single_part(header: str | None, wanted: str) -> None:
    """Whatever form is asked for."""
    choice = choose_picture(parse_accept(header))

    assert (choice.form, choice.media_type) == (Form.SINGLE, wanted)
    assert choice.transfer_syntaxes == ()


@pytest.mark.parametrize("header", ["application/dicom", "image/jp2", "video/mp4", "application/pdf"])
def test_what_is_not_offered_is_refused(header: str) -> None:
    """With 406."""
    with pytest.raises(NotAcceptable):
        choose_picture(parse_accept(header))


@pytest.mark.parametrize(
    ("header", "wanted"), [("application/pdf", "application/pdf"), ("video/*", "video/mpeg")]
)
def test_documents_are_offered_where_there_may_be_one(header: str, wanted: str) -> None:
    """PS3.18 section 8.7.4."""
    assert choose_picture(parse_accept(header), (*PICTURES, *DOCUMENTS)).media_type == wanted
    assert choose_picture(parse_accept(BROWSER), ("video/mp4",)).media_type == "video/mp4"
    assert choose_picture(parse_accept("video/h265"), ("video/mp4",)).form is Form.SINGLE


@pytest.mark.parametrize(
    ("header", "form", "wanted"),
    [
        (None, Form.SINGLE, "image/jpeg"),
        ("image/png", Form.SINGLE, "image/png"),
        (OHIF, Form.SINGLE, "image/jpeg"),
        ('multipart/related; type="image/png"', Form.MULTIPART, "image/png"),
        ("multipart/related", Form.MULTIPART, "image/jpeg"),
    ],
)
def test_of_many_items_one_stands_for_all_unless_parts_are_asked_for(
    header: str | None, form: Form, wanted: str
) -> None:
    """Octets in parts are OHIF asking for one picture."""
    choice = choose_picture_or_pictures(parse_accept(header))

    assert (choice.form, choice.media_type) == (form, wanted)


def test_several_frames_need_a_part_each() -> None:
    """A single part is 400, and what is not offered 406."""
    for header in (None, "*/*", OHIF, 'multipart/related; type="image/jpeg"'):
        assert choose_pictures(parse_accept(header)).form is Form.MULTIPART
    with pytest.raises(BadRequest):
        choose_pictures(parse_accept("image/jpeg"))
    with pytest.raises(NotAcceptable):
        choose_pictures(parse_accept("application/dicom"))
