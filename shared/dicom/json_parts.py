"""Parts of a dataset's DICOM JSON, found without making values of the rest.

The text is what `MetadataWriter` writes: objects without blanks between their members. Quotes and braces tell
where an element of the top level begins, so the whole text is gone through as arrays of bytes, a piece at a
time. What is not wanted costs no memory, and hardly any time that others could not use.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_QUOTE, _COMMA, _OPEN, _CLOSE = b'",{}'
_BEFORE_KEY: Final = 2
"""A comma or brace, and a quote."""

_KEY_BYTES: Final = 8
_HEAD_BYTES: Final = _BEFORE_KEY + _KEY_BYTES

# How many objects are open: the dataset, an element in it, an item of that.
_IN_DATASET, _IN_ELEMENT, _IN_ITEM = 1, 2, 3


class TooLong(ValueError):
    """More is wanted than is allowed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What was found."""

    elements: bytes
    """A JSON object of the elements wanted."""

    items: Mapping[int, bytes]
    """The items wanted of the sequence, each a JSON object, by their numbers."""

    has_items: bool
    """Whether the sequence has any items."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for, at the top level of a dataset."""

    keys: Collection[str]
    """Elements, such as "00280010"."""

    sequence: str = ""
    """A sequence of which a few items are wanted, and not all."""

    numbers: Sequence[int] = ()
    """These items of it, counted from 1, in ascending order."""


def find_parts(text: Iterable[bytes], wanted: Wanted, max_bytes: int) -> Parts:
    """Look through DICOM JSON.

    Args:
        text: The text of a dataset, in pieces of any size.
        wanted: What to look for.
        max_bytes: What may be found.

    Raises:
        TooLong: It is more.
    """
    finder = _Finder(wanted, max_bytes)
    for piece in text:
        finder.feed(piece)
    return finder.parts()


class _Marks(NamedTuple):
    """What is where in a piece of text."""

    elements: NDArray[np.intp]
    """The comma or brace before each element of the top level, and the brace behind the last."""

    opens: NDArray[np.intp]
    """Where items of top-level sequences begin."""

    closes: NDArray[np.intp]
    """Where they end."""


class _Finder:
    def __init__(self, wanted: Wanted, max_bytes: int) -> None:
        keys = [*wanted.keys, *([wanted.sequence] if wanted.sequence else [])]
        self._keys = np.array([key.encode() for key in keys], f"S{_KEY_BYTES}")
        self._sequence = wanted.sequence.encode()
        self._numbers = wanted.numbers
        self._left = max_bytes
        self._tail = b""
        self._depth = 0
        self._quoted = False
        self._element: list[bytes] | None = None
        """The element that goes on in the next piece, if it is wanted."""

        self._in_sequence = False
        self._item: list[bytes] | None = None
        """The same of an item."""

        self._count = 0
        self._elements: list[list[bytes]] = []
        self._items: dict[int, list[bytes]] = {}

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the text."""
        text = self._tail + piece
        # A quote with a backslash before it ends nothing, unless that has one before it as well.
        plain = text.replace(rb"\\", b"__").replace(rb"\"", b"__")
        end = len(text) - plain.endswith(b"\\")
        codes = np.frombuffer(plain, np.uint8)
        quoted = (np.cumsum(codes == _QUOTE, dtype=np.int32) + self._quoted) & 1 == 1
        opens, closes = (codes == _OPEN) & ~quoted, (codes == _CLOSE) & ~quoted
        depths = np.cumsum(opens.astype(np.int8) - closes, dtype=np.int32) + self._depth
        commas = (codes == _COMMA) & ~quoted
        begins = (commas | opens) & (depths == _IN_DATASET)
        elements = np.flatnonzero(begins | closes & (depths < _IN_DATASET))
        if len(elements) and codes[elements[-1]] != _CLOSE and elements[-1] + _HEAD_BYTES > end:
            end, elements = int(elements[-1]), elements[:-1]
        self._tail = text[end:]
        if end:
            self._depth, self._quoted = int(depths[end - 1]), bool(quoted[end - 1])
        items = np.flatnonzero(opens & (depths == _IN_ITEM)), np.flatnonzero(closes & (depths == _IN_ELEMENT))
        self._take(text[:end], _Marks(elements, *items))

    def parts(self) -> Parts:
        """All that was found."""
        elements = b",".join(b"".join(each) for each in self._elements)
        items = {number: b"".join(each) for number, each in self._items.items()}
        return Parts(b"{" + elements + b"}", items, self._count > 0)

    def _take(self, text: bytes, marks: _Marks) -> None:
        bounds = marks.elements
        self._go_on(text, 0, int(bounds[0]) if len(bounds) else len(text), marks)
        if not len(bounds):
            return
        codes = np.frombuffer(text + bytes(_HEAD_BYTES), np.uint8)
        heads = codes[bounds[:, None] + np.arange(_BEFORE_KEY, _HEAD_BYTES)]
        names = np.ascontiguousarray(heads).view(f"S{_KEY_BYTES}").ravel()
        for at in np.flatnonzero(np.isin(names, self._keys)):
            end = int(bounds[at + 1]) if at + 1 < len(bounds) else len(text)
            self._begin(bytes(names[at]))
            self._go_on(text, int(bounds[at]) + 1, end, marks)

    def _begin(self, key: bytes) -> None:
        self._element, self._in_sequence = None, key == self._sequence
        if self._in_sequence:
            # Of a sequence that comes twice the last counts.
            self._count, self._item = 0, None
            self._items.clear()
            return
        self._element = []
        self._elements.append(self._element)

    def _go_on(self, text: bytes, start: int, end: int, marks: _Marks) -> None:
        """Take what belongs to the element that is open."""
        if self._element is not None:
            self._add(self._element, text[start:end])
        if self._in_sequence:
            self._take_items(text[:end], start, marks)
        if end < len(text):
            self._element, self._in_sequence = None, False

    def _take_items(self, text: bytes, start: int, marks: _Marks) -> None:
        opens, closes = (each[(each >= start) & (each < len(text))] for each in (marks.opens, marks.closes))
        if self._item is not None:
            self._take_item(self._item, text, start, closes)
        first = bisect_right(self._numbers, self._count)
        last = bisect_right(self._numbers, self._count + len(opens))
        for number in self._numbers[first:last]:
            found = self._items[number] = []
            self._take_item(found, text, int(opens[number - self._count - 1]), closes)
        self._count += len(opens)

    def _take_item(self, found: list[bytes], text: bytes, start: int, closes: NDArray[np.intp]) -> None:
        at = int(np.searchsorted(closes, start))
        is_whole = at < len(closes)
        self._add(found, text[start : int(closes[at]) + 1 if is_whole else len(text)])
        self._item = None if is_whole else found

    def _add(self, found: list[bytes], piece: bytes) -> None:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLong("More is wanted than is allowed.")
        found.append(piece)
