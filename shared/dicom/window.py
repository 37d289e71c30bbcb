"""The bytes of a dataset as they arrive: those of one unfinished element, and how many to pass over."""

from typing import Final

from shared.dicom.headers import SHORT_HEADER_BYTES
from shared.dicom.pixels import TAIL_BYTES

STEP_BYTES: Final = 64 * 1024
"""Read at once, so that a large piece fed is not copied whole."""

Chunk = bytes | bytearray | memoryview


class Window:
    """Keeps what cannot be read yet. A reader of something derives from it and says how to go on."""

    def __init__(self, start: int) -> None:
        """Begin with a first byte that lies at `start`."""
        self._start = start
        self._base = start
        """Where the buffer begins, counted as `start` is."""

        self._buffer = b""
        self._at = 0
        """What of the buffer is read."""

        self._pending = bytearray()
        self._need = SHORT_HEADER_BYTES
        """How many bytes it takes to go on."""

        self._skip = 0
        self._passed = 0
        self._tail = b""

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes.

        Raises:
            NotDicom: They cannot be part of a dataset.
        """
        view = memoryview(chunk)
        at = 0
        while at < len(view):
            if self._skip:
                at += self._pass_through(view[at:])
            else:
                self._read(view[at : at + STEP_BYTES])
                at += STEP_BYTES

    @property
    def element_bytes(self) -> int:
        """How many of the bytes fed were looked at and not passed over: they are what costs time."""
        return self._base + len(self._pending) - self._start - (self._passed - self._skip)

    def _step(self) -> bool:
        """Read what comes next; False when more bytes are needed."""
        raise NotImplementedError

    def _read(self, view: memoryview) -> None:
        """Read as many elements as are whole by now, and keep the rest for the next time."""
        self._pending += view
        if len(self._pending) < self._need:
            return
        self._go_on()

    def _go_on(self) -> None:
        """Read what is there, as far as it goes."""
        self._buffer, self._at, self._need = bytes(self._pending), 0, SHORT_HEADER_BYTES
        while self._step():
            pass
        del self._pending[: self._at]
        self._base += self._at
        self._buffer = b""

    def _whole(self, start: int, length: int) -> bool:
        """Whether these bytes of the buffer are there; if not, they are what is waited for."""
        self._need = start + length - self._at
        return start + length <= len(self._buffer)

    def _pass_over(self, start: int, length: int) -> bool:
        """Go on behind these bytes, whether they have come or not; their last ones stay in `_tail`."""
        here = min(len(self._buffer), start + length)
        self._tail = self._buffer[max(start, here - TAIL_BYTES) : here]
        self._skip = start + length - here
        self._need = SHORT_HEADER_BYTES
        self._passed += length
        self._at = here
        return True

    def _pass_through(self, view: memoryview) -> int:
        """Drop what is to be passed over from the front of the next bytes; say how many those were."""
        taken = min(len(view), self._skip)
        self._tail = (self._tail + bytes(view[max(0, taken - TAIL_BYTES) : taken]))[-TAIL_BYTES:]
        self._skip -= taken
        self._base += taken
        return taken
