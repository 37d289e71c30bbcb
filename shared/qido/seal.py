"""The seal on what a client carries from one page of a search to the next. Pure.

A cursor tells where a page ended, and that may be at somebody's name, while addresses are written into logs
all along their way. So it is encrypted and authenticated: only this archive can make one, or read it.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from shared.qido.position import impossible_cursor

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

MAX_CHARACTERS = 3_000
"""Of a sealed cursor; a position has some 700 at most."""


def seal(key: bytes, cursor: str) -> str:
    """Seal a cursor, as a text for an address.

    Args:
        key: That of the archive, as `storage.cursor_key` gives it.
        cursor: What `render_cursor` wrote.
    """
    return _fernet(key).encrypt(cursor.encode()).decode().rstrip("=")


def unseal(key: bytes, token: str) -> str:
    """Open what `seal` gave.

    Raises:
        BadRequest: It was sealed with another key, or is not whole.
    """
    from cryptography.fernet import InvalidToken

    if len(token) > MAX_CHARACTERS or not token.isascii():
        raise impossible_cursor()
    try:
        return _fernet(key).decrypt(token + "=" * (-len(token) % 4)).decode()
    except InvalidToken as error:
        raise impossible_cursor() from error


@lru_cache(maxsize=8)
def _fernet(key: bytes) -> "Fernet":
    # Imported here: it takes longer to load than all other code of searches, and the first page needs none.
    from cryptography.fernet import Fernet

    return Fernet(key)
