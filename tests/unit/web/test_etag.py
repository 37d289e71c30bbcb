"""If-None-Match against Azure's unquoted tags."""

import pytest

from shared.web.etag import is_match


@pytest.mark.parametrize(
    "header", ["17-3", '"17-3"', 'W/"17-3"', 'w/"17-3"', "W/17-3", '"1", "17-3"', "1,17-3", "*", " 17-3 ,"]
)
def test_a_tag_is_found_in_every_spelling(header: str) -> None:
    """API rules 7.3."""
    assert is_match(header, "17-3")


@pytest.mark.parametrize("header", [None, "", ",", '""', "17", '"17-30"', "17-3x", 'W/"3"'])
def test_another_tag_does_not_match(header: str | None) -> None:
    assert not is_match(header, "17-3")


def test_case_does_not_count() -> None:
    assert is_match('"ABC"', "abc")
    assert is_match('"abc"', '"ABC"')
