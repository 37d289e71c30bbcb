"""The Warning header in Azure's form."""

import pytest

from shared.web.warnings import render_warning


@pytest.mark.parametrize(
    ("host", "text", "header"),
    [
        ("localhost", "Text.", '299 localhost: "Text."'),
        ("pacs.example:8080", "Text.", '299 pacs.example:8080: "Text."'),
        (None, "Text.", '299 - "Text."'),
        ("", "Text.", '299 - "Text."'),
        ("a b", "Text.", '299 - "Text."'),
        ("a\r\nb", "Text.", '299 - "Text."'),
        ("h", 'say "a\\b"', r'299 h: "say \"a\\b\""'),
        ("h", "J\u00f6\r\nX: y", '299 h: "J???X: y"'),
    ],
)
def test_a_warning_names_the_host_with_a_colon(host: str | None, text: str, header: str) -> None:
    """API rules 1.4."""
    assert render_warning(host, text) == header
