"""How many cases are tried, from which seed, and where the inputs of those that fail are kept."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, Generic, TypeVar

CASES: Final = int(os.environ.get("FUZZ_CASES", "500"))
"""Of all kinds together. `make fuzz` sets it; every other run tries the same few."""

SEED: Final = int(os.environ.get("FUZZ_SEED", "1"))

KEPT: Final = Path(__file__).parents[2] / ".local" / "fuzz"
"""Inputs that failed, one file each."""

MAX_FAILURES: Final = 5
"""Of one kind: the rest is as good as told."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of input. The seed, its name and a number decide about everything in an input."""

    name: str
    make: Callable[[Random], T]
    examine: Callable[[T, Random], None]
    """Raises when something does not hold."""

    render: Callable[[T], bytes]
    """The input as bytes to keep."""


def keep(name: str, content: bytes) -> Path:
    """Write an input that failed to where it is found again."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / name
    path.write_bytes(content)
    return path


def share(percent: int) -> int:
    """How many of the cases a test may take."""
    return max(CASES * percent // 100, 1)


def attempt(cases: int, kind: Kind[T]) -> None:
    """Make inputs and examine them; tell of those that fail, with what reproduces them."""
    failures = list(islice(_failures(cases, kind), MAX_FAILURES))

    assert not failures, f"seed {SEED}:\n" + "\n".join(failures)


def _failures(cases: int, kind: Kind[T]) -> Iterator[str]:
    for number in range(cases):
        random = Random(f"{SEED} {kind.name} {number}")
        made = kind.make(random)
        try:
            kind.examine(made, random)
        except Exception as error:
            path = keep(f"{kind.name}-{SEED}-{number}", kind.render(made))
            yield f"{path}: {type(error).__name__}: {str(error)[:500]}"
