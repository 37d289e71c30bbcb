"""The BulkDataURIs of metadata, in the text as it streams by.

In stored metadata they are paths relative to the instance. Nothing is parsed: the quotes around a key cannot
stand in a JSON string without a backslash, so the bytes of a key are found where it is, and nowhere else.

Source: PS3.18 section F.2.2; clients checklist 27; API rules section 7.2.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

LINK: Final = b'"BulkDataURI":"'
"""What stands before every URI, and nowhere else."""

_VR: Final = b'":{"vr":"'
_HEAD_BYTES: Final = len(b'"7FE00010') + len(_VR)
_ELEMENT: Final = (
    rb'"[0-9A-F]{8}":\{"vr":"(?:(?:O[BDFLVW]|UN)"'
    rb'|[A-Z]{2}","(?:BulkDataURI|InlineBinary)":"[^"]*")\}'
)
_WITH_COMMA: Final = re.compile(b"," + _ELEMENT + b"|" + _ELEMENT + b",?")
_SETTLED: Final = re.compile(_VR + rb'[A-Z]{2}"(?:,"Value|(?:,"[A-Za-z]+":"[^"]*")?\})')


class Change(Protocol):
    """A change of text that streams by, of one instance or of several with commas between them."""

    def add(self, piece: bytes) -> bytes:
        """Take the next piece, cut anywhere; give what is certain by now."""

    def end(self) -> bytes:
        """The rest."""


def changed(pieces: Iterable[bytes], change: Change) -> Iterator[bytes]:
    """Text with a change made."""
    for piece in pieces:
        yield change.add(piece)
    yield change.end()


def link_bulk(pieces: Iterable[bytes], base: str) -> Iterator[bytes]:
    """Make BulkDataURIs absolute.

    Args:
        pieces: Metadata of one instance, cut anywhere.
        base: The URL that the paths follow, without a slash at its end; nothing in it needs a backslash.
    """
    return changed(pieces, Rebase("", f"{base}/"))


def drop_bulk(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out every element of a bulk VR, and every value that came by reference, at all levels.

    Args:
        pieces: Metadata of one instance, cut anywhere.
    """
    return changed(pieces, Drop())


class Rebase:
    """Puts another beginning to BulkDataURIs."""

    def __init__(self, old: str, new: str) -> None:
        self._old = LINK + old.encode()
        self._new = LINK + new.encode()
        self._begun = tuple(self._old[:size] for size in range(len(self._old) - 1, 0, -1))
        self._held = b""

    def add(self, piece: bytes) -> bytes:
        """Take the next piece; what may be the beginning of an URI is held back."""
        text = (self._held + piece).replace(self._old, self._new)
        self._held = next((begun for begun in self._begun if text.endswith(begun)), b"")
        return text[: len(text) - len(self._held)]

    def end(self) -> bytes:
        """What was held back."""
        return self._held


class Drop:
    """Leaves out every element of a bulk VR, and every value that came by reference, at all levels."""

    def __init__(self) -> None:
        self._held = b""
        self._is_first = False

    def add(self, piece: bytes) -> bytes:
        """Take the next piece; what may have to be left out is held back."""
        text = self._held + piece
        end = _safe_end(text)
        kept, self._is_first = _without(text[:end], self._is_first)
        self._held = text[end:]
        return kept

    def end(self) -> bytes:
        """What was held back, if it stays."""
        return _without(self._held, self._is_first)[0]


def _without(text: bytes, is_first: bool) -> tuple[bytes, bool]:
    """Leave elements out of a text that cuts none of them.

    Args:
        text: The next piece.
        is_first: Whether what comes next is the first element of its dataset, as those before were left out.

    Returns:
        What stays, and the same of the piece that follows.
    """
    if not text:
        return text, is_first
    if is_first:
        text = text.removeprefix(b",")
    kept, at = [], 0
    for found in _WITH_COMMA.finditer(text):
        kept.append(text[at : found.start()])
        at = found.end()
        is_first = at == len(text) and b"," not in (found[0][:1], found[0][-1:])
    kept.append(text[at:])
    return b"".join(kept), is_first and at == len(text)


def _safe_end(text: bytes) -> int:
    """Where a text can be cut without cutting an element that may have to be left out."""
    begun = max(0, len(text) - _HEAD_BYTES)
    at = text.rfind(_VR)
    if at < 0:
        return begun
    settled = _SETTLED.match(text, at)
    # Before an element with its comma, or behind it.
    return max(begun, settled.end()) if settled else max(0, at - len(b',"7FE00010'))
