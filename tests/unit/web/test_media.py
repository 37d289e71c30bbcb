"""Media types as clients write them."""

import pytest

from shared.web.media import MediaType, parse_media_type, split_outside_quotes

RELATED_DICOM = MediaType("multipart", "related", (("type", "application/dicom"), ("boundary", "b")))


@pytest.mark.parametrize(
    "text",
    [
        'multipart/related; type="application/dicom"; boundary="b"',
        "multipart/related; type=application/dicom; boundary=b",
        'multipart/related;type="application/dicom";boundary=b',
        'Multipart/Related ; TYPE = "application/dicom" ;Boundary= b ; ',
        "  multipart/related;; type=application/dicom;charset;boundary=b;",
        'multipart/related; type="application\\/dicom"; boundary="b',
    ],
)
def test_every_spelling_of_a_media_type_means_the_same(text: str) -> None:
    assert parse_media_type(text) == RELATED_DICOM


@pytest.mark.parametrize(
    "text", ["", " ", "application", "/dicom", "application/", "a b/c", "a/b c", ";q=1", "*"]
)
def test_what_has_no_type_and_subtype_is_no_media_type(text: str) -> None:
    assert parse_media_type(text) is None


def test_a_doubled_parameter_keeps_both_values_in_order() -> None:
    media = parse_media_type('image/jls; transfer-syntax="1.2"; transfer-syntax="*"')

    assert media is not None
    assert media.get_all("transfer-syntax") == ("1.2", "*")
    assert media.get("transfer-syntax") == "1.2"
    assert media.get("q") is None


def test_a_quoted_value_keeps_its_semicolons_and_quotes() -> None:
    media = parse_media_type(r'text/plain; title="a;\"b\\"; q=1')

    assert media == MediaType("text", "plain", (("title", 'a;"b\\'), ("q", "1")))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("a,b", ["a", "b"]),
        ('a;t="x,y",b', ['a;t="x,y"', "b"]),
        (r'"\",",b', [r'"\","', "b"]),
        ('a;t="x,b', ['a;t="x', "b"]),
        ('"",,', ['""', "", ""]),
    ],
)
def test_a_separator_in_quotes_does_not_split(text: str, pieces: list[str]) -> None:
    assert split_outside_quotes(text, ",") == pieces
