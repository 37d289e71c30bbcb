"""The Prefer header: RFC 7240."""

import pytest

from shared.web.prefer import parse_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("Wait = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar, handling=lenient", 10),
        ("wait=10, wait=20", 10),
        ("wait=0", 0),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=soon", None),
        ("await=10", None),
        ("foo; wait=10", None),
        ("wait=99999999999999", None),
    ],
)
def test_the_first_wait_counts(header: str, seconds: int | None) -> None:
    """Sections 2 and 4.3: what cannot be understood is passed over."""
    assert parse_wait(header) == seconds
