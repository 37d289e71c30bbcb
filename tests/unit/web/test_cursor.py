"""The link to the next page of a search."""

import pytest

from shared.web.cursor import render_next_link

ADDRESS = "https://example.org/v2/studies"


@pytest.mark.parametrize(
    ("query", "offset", "expected"),
    [
        ("", 0, "cursor=T"),
        ("limit=5", 0, "limit=5&cursor=T"),
        ("limit=5&cursor=S", 0, "limit=5&cursor=T"),
        ("Cursor=S&OFFSET=7&limit=5", 0, "limit=5&cursor=T"),
        ("offset=7", 3, "cursor=T&offset=3"),
        ("%6Fffset=7", 0, "cursor=T"),
        ("PatientName=*d%C3%B6%3e*&&x", 0, "PatientName=*d%C3%B6%3e*&x&cursor=T"),
        ('PatientName=dö">x', 0, "PatientName=d%F6%22%3Ex&cursor=T"),
        ("PatientName=山 1", 0, "PatientName=%E5%B1%B1%201&cursor=T"),
    ],
)
def test_the_next_page_is_the_same_search_from_there_on(query: str, offset: int, expected: str) -> None:
    """RFC 8288; nothing in it ends the address or the header."""
    assert render_next_link(ADDRESS, query, "T", offset) == f'<{ADDRESS}?{expected}>; rel="next"'
