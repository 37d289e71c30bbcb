"""Text with the wild cards `*` and `?` in it. Pure.

A pattern is compared piece by piece between its stars, each at the first place where it fits, so that no
pattern takes longer than its length times that of the text.

Source: PS3.4 section C.2.2.2.4.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from shared.storage.terms import END, START

ANY = "*"
ONE = "?"
SEPARATOR = "^"
"""Between the components of a name."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A folded text to compare with: `*` stands for any characters, `?` for one."""

    pieces: tuple[str, ...]
    """What stands between the stars; one piece alone is the whole text."""

    @classmethod
    def parse(cls, text: str) -> "Glob":
        """Read a folded pattern; several stars are as good as one."""
        return cls(tuple(re.sub(r"\*+", ANY, text).split(ANY)))

    @property
    def is_plain(self) -> bool:
        """Whether it has no wild card."""
        return len(self.pieces) == 1 and ONE not in self.pieces[0]

    @property
    def is_any(self) -> bool:
        """Whether everything fits, even what has no value."""
        return self.pieces == ("", "")

    def fits(self, text: str) -> bool:
        """Whether a folded text is like this."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(text) == len(first) and _find(first, text, 0, len(text)) == 0
        at, end = len(first), len(text) - len(last)
        if at > end or _find(first, text, 0, at) != 0 or _find(last, text, end, len(text)) != end:
            return False
        for piece in self.pieces[1:-1]:
            found = _find(piece, text, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    def shorter(self) -> "Glob | None":
        """`x` for the name pattern `x^*`: what ends there has no separator (PS3.5 section 6.2.1)."""
        if len(self.pieces) == 1 or self.pieces[-1] or not self.pieces[-2].endswith(SEPARATOR):
            return None
        return Glob((*self.pieces[:-2], self.pieces[-2].rstrip(SEPARATOR)))

    def fragments(self) -> tuple[str, ...]:
        """The literal texts in it, with START and END where they begin or end whatever fits."""
        marked = f"{START}{ANY.join(self.pieces)}{END}"
        return tuple(piece for piece in re.split(r"[*?]", marked) if piece not in ("", START, END))

    def literals(self) -> tuple[str, ...]:
        """The same without the marks, for what need not begin or end with them."""
        return tuple(piece for each in self.pieces for piece in each.split(ONE) if piece)


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Where a piece without stars first fits, as `str.find` has it."""
    if ONE not in piece:
        return text.find(piece, start, end)
    found = _expression(piece).search(text, start, end)
    return found.start() if found else -1


@lru_cache(maxsize=256)
def _expression(piece: str) -> re.Pattern[str]:
    return re.compile(".".join(map(re.escape, piece.split(ONE))), re.DOTALL)
