"""The table that a run prints, as Markdown."""

import math
from collections.abc import Sequence
from typing import Final

from bench.measure import OURS, PEER, RAW, Figures, Line

_HEADS: Final = (
    "work", "callers", "a second", "MB/s", "p50 ms", "p99 ms", "first byte ms", "calls", "rows", "cpu ms",
    "raw a second", "of raw",
)  # fmt: skip
_PEER_HEADS: Final = ("peer a second", "peer p50 ms", "times peer")
_LARGE_ANSWER_BYTES: Final = 100_000


def render(lines: Sequence[Line]) -> str:
    """Write the table; the peer has columns when there was one."""
    with_peer = any(PEER in line.sides for line in lines)
    heads = _HEADS + (_PEER_HEADS if with_peer else ())
    body = [_cells(line, with_peer=with_peer) for line in lines]
    rows = [heads, ("---", *("--:" for _ in heads[1:])), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def brief(line: Line) -> str:
    """Say how one line went, while the others are still being measured."""
    ours, raw = line.sides[OURS], line.sides[RAW]
    said = [
        f"{line.case.name}, {line.case.callers} callers: {_number(ours.rate)} a second",
        f"p50 {_number(ours.median_ms)} ms",
        f"{_number(line.calls)} calls",
        f"{ours.rate / raw.rate:.0%} of raw",
    ]
    said += [f"{ours.rate / line.sides[PEER].rate:.2f} times the peer"] if PEER in line.sides else []
    return ", ".join(said)


def _cells(line: Line, *, with_peer: bool) -> tuple[str, ...]:
    ours, raw = line.sides[OURS], line.sides[RAW]
    cells = (
        line.case.name,
        str(line.case.callers),
        _number(ours.rate),
        _number(ours.megabytes) if ours.megabytes * 1e6 > ours.rate * _LARGE_ANSWER_BYTES else "",
        _number(ours.median_ms),
        _number(ours.p99_ms),
        _number(ours.first_byte_ms),
        _number(line.calls),
        _number(line.rows),
        _number(line.processor_ms),
        _number(raw.rate),
        f"{ours.rate / raw.rate:.0%}",
    )
    return cells + (_peer_cells(ours, line.sides.get(PEER)) if with_peer else ())


def _peer_cells(ours: Figures, peer: Figures | None) -> tuple[str, ...]:
    if peer is None:
        return ("", "", "")
    return _number(peer.rate), _number(peer.median_ms), f"{ours.rate / peer.rate:.2f}"


def _number(value: float) -> str:
    """Three digits are more than the machine's noise allows."""
    if math.isnan(value):
        return "?"
    if value >= 100:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")
