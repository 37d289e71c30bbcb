"""What a client carries from page to page tells nobody anything, and cannot be made by others."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from shared.errors import BadRequest
from shared.qido.seal import MAX_CHARACTERS, seal, unseal

KEY, OTHER = (urlsafe_b64encode(bytes([number]) * 32) for number in (1, 2))
CURSOR = '["8f3c","s","0p|doe^jané=03\\t667c7639a0714b3c|1.2.4"]'
TOKEN = seal(KEY, CURSOR)
LONGEST = "x" * 1_000
"""A position below a text has some 700 characters at most."""


def test_a_cursor_comes_back_as_it_was() -> None:
    """As a text that needs no encoding in an address."""
    assert unseal(KEY, TOKEN) == CURSOR
    assert unseal(KEY, seal(KEY, LONGEST)) == LONGEST
    assert TOKEN.replace("-", "").replace("_", "").isalnum()
    assert len(seal(KEY, LONGEST)) < MAX_CHARACTERS


def test_nothing_of_it_can_be_read() -> None:
    """Addresses are written into logs; and the same place is not told twice in the same way."""
    assert b"doe" not in urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    assert "doe" not in TOKEN
    assert seal(KEY, CURSOR) != TOKEN


def test_a_cursor_that_is_changed_anywhere_is_refused() -> None:
    """By one character, or by its length."""
    for at, character in enumerate(TOKEN[:-1]):
        other = "A" if character != "A" else "B"
        with pytest.raises(BadRequest, match="cursor"):
            unseal(KEY, TOKEN[:at] + other + TOKEN[at + 1 :])
    for end in range(len(TOKEN)):
        with pytest.raises(BadRequest, match="cursor"):
            unseal(KEY, TOKEN[:end])


@pytest.mark.parametrize("token", ["x", "!", "ä", "\ud800", "A" * 5_000, "W10", seal(OTHER, CURSOR), CURSOR])
def test_what_the_archive_did_not_make_is_refused(token: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        unseal(KEY, token)
