"""Undoing the content codings of a request's body while it arrives (RFC 9110 section 8.4)."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from shared.errors import BadRequest, BodyTooLong, UnsupportedCoding

PIECE_BYTES: Final = 256 * 1024
"""Inflated at once; whatever a body claims, no more of it is held."""

STEP_BYTES: Final = 16 * 1024
"""Given to a layer at once: what is left of them is copied at each member."""

MAX_MEMBERS: Final = 1_000
"""Of a gzip body. Each costs time, even an empty one; senders write one."""

MAX_CODINGS: Final = 3
"""One over another. No sender has a reason for two."""

FREE_BYTES: Final = 64 * 1024 * 1024
"""Inflated whatever the ratio."""

MAX_RATIO: Final = 200
"""Beyond that. Images do not shrink so far; what does is nothing but zeros, and made to cost time."""

_NAMES: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP: Final = 16 + zlib.MAX_WBITS


def parse_codings(header: str | None) -> tuple[str, ...]:
    """Read a Content-Encoding header: the codings to undo, the one applied last first.

    Raises:
        UnsupportedCoding: One of them is unknown here, or there are too many.
    """
    names = [name.strip().lower() for name in (header or "").split(",")]
    applied = [name for name in names if name not in ("", "identity")]
    if len(applied) > MAX_CODINGS or not all(name in _NAMES for name in applied):
        raise UnsupportedCoding("The Content-Encoding must be gzip, deflate or identity.")
    return tuple(_NAMES[name] for name in reversed(applied))


class Inflater:
    """Inflates a body in pieces of bounded size."""

    def __init__(self, codings: Sequence[str], max_bytes: int) -> None:
        """Prepare to undo `codings`, from `parse_codings`; none of them may give more than `max_bytes`."""
        self._layers = [_Layer(coding, max_bytes) for coding in codings]

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next bytes, and give what they hold, piece by piece; after each step comes an empty piece.

        Raises:
            BadRequest: They are not coded as the header says, or in too many members.
            BodyTooLong: There is more in the body than allowed, or it shrank more than images do.
        """
        return self._through(0, chunk)

    def finish(self) -> None:
        """Check, after the last byte, that the body was complete.

        Raises:
            BadRequest: It was cut off.
        """
        if not all(layer.is_complete for layer in self._layers):
            raise BadRequest("The compressed body ends before its end.")

    def _through(self, index: int, chunk: bytes) -> Iterator[bytes]:
        if index == len(self._layers):
            yield chunk
            return
        view = memoryview(chunk)
        for start in range(0, len(view), STEP_BYTES):
            for piece in self._layers[index].feed(view[start : start + STEP_BYTES]):
                if piece:
                    yield from self._through(index + 1, piece)
                yield b""


class _Layer:
    """One coding."""

    def __init__(self, coding: str, max_bytes: int) -> None:
        self._is_gzip = coding == "gzip"
        self._max_bytes = max_bytes
        self._taken = 0
        self._given = 0
        self._members = 0
        self._inflate: zlib._Decompress | None = None

    @property
    def is_complete(self) -> bool:
        """Whether what came so far is a whole body."""
        return self._inflate is not None and self._inflate.eof

    def feed(self, chunk: memoryview) -> Iterator[bytes]:
        """What comes of each step, which may be nothing."""
        rest, piece = bytes(chunk), b""
        self._taken += len(rest)
        # zlib may have taken all of the input and still hold output back.
        while rest or len(piece) == PIECE_BYTES:
            if self._inflate is None or self._inflate.eof:
                rest = self._begin(rest)
                if self._inflate is None or not rest:
                    yield b""
                    return
            try:
                piece = self._inflate.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise BadRequest("The body is not compressed as its Content-Encoding says.") from error
            rest = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            self._count(piece)
            yield piece

    def _begin(self, rest: bytes) -> bytes:
        """Begin with what comes first, or behind a member of a gzip body, which may have several."""
        if self._inflate is None:
            # Some senders leave out the zlib header that `deflate` means; a stream without it never looks so.
            has_header = rest[0] & 0x0F == zlib.DEFLATED
            wbits = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._inflate = zlib.decompressobj(_GZIP if self._is_gzip else wbits)
        elif not self._is_gzip:
            raise BadRequest("Something follows the compressed body.")
        elif rest := rest.lstrip(b"\0"):
            self._inflate = zlib.decompressobj(_GZIP)
            self._members += 1
            if self._members >= MAX_MEMBERS:
                raise BadRequest(f"The compressed body has more than {MAX_MEMBERS} members.")
        return rest

    def _count(self, piece: bytes) -> None:
        self._given += len(piece)
        if self._given > self._max_bytes:
            raise BodyTooLong(f"A store request may have {self._max_bytes} bytes once it is inflated.")
        if self._given > max(FREE_BYTES, MAX_RATIO * self._taken):
            raise BodyTooLong(f"The body is compressed more than {MAX_RATIO} times; send it as it is.")
