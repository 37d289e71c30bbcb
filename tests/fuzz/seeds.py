"""The files that are damaged: small real ones of every kind, and smallest ones of every form."""

import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

import pydicom

from tests.unit.dicom.making import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    encapsulated,
    explicit,
    file_of,
    image,
    implicit,
    item,
    meta,
    open_item,
)

MAX_SEED_BYTES: Final = 48 * 1024

WHEEL: Final = Path(pydicom.__file__).parent / "data"
BESIDE: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
"""The collection of real files, where it is there; pydicom's own are always."""


@cache
def real_files() -> tuple[bytes, ...]:
    """Every small file of both collections once, in an order that does not change."""
    paths = [path for folder in (WHEEL, BESIDE) for path in sorted(folder.rglob("*")) if _is_small(path)]
    return tuple(dict.fromkeys(path.read_bytes() for path in paths))


def _is_small(path: Path) -> bool:
    known = path.suffix in ("", ".dcm") and path.is_file()
    return known and 0 < path.stat().st_size <= MAX_SEED_BYTES and path.name not in ("README", "LICENSES")


def random_uid(random: Random) -> bytes:
    """A UID of even length that nothing else has."""
    return b"1.2.826.0.1.3680043.10.1337.%020d" % random.randrange(1, 10**20)


def identity(random: Random, order: str = "<") -> tuple[bytes, bytes]:
    """The elements of group 0008 and those of 0010 and 0020 that every stored instance has."""
    first = explicit(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.7\0", order=order) + explicit(
        0x00080018, "UI", random_uid(random), order=order
    )
    return first, (
        explicit(0x00100010, "PN", b"Doe^Jane", order=order)
        + explicit(0x00100020, "LO", b"P1", order=order)
        + explicit(0x0020000D, "UI", random_uid(random), order=order)
        + explicit(0x0020000E, "UI", random_uid(random), order=order)
    )


def sound_file(random: Random) -> bytes:
    """A small file that every archive stores, unlike all others."""
    return random.choice(_FORMS)(random)


def large_file(random: Random) -> bytes:
    """A file that is on its way into storage before all of it has come."""
    first, second = identity(random)
    pixels = random.randbytes(1000) * random.randrange(4_300, 4_600)
    return file_of(first + second + image(frames=3) + explicit(0x7FE00010, "OW", pixels))


def _plain(random: Random) -> bytes:
    first, second = identity(random)
    pixels = image(frames=3) + explicit(0x7FE00010, "OW", random.randbytes(12))
    return file_of(first + explicit(0x00080060, "CS", b"OT") + second + pixels)


def _without_preamble(random: Random) -> bytes:
    return _plain(random)[132:]


def _with_busy_preamble(random: Random) -> bytes:
    return b"II*\0" * 32 + _plain(random)[128:]


def _implicit(random: Random) -> bytes:
    creator = implicit(0x00290010, b"SIEMENS MEDCOM HEADER ") + implicit(0x00291008, b"A ")
    return file_of(
        implicit(0x00080016, b"1.2.840.10008.5.1.4.1.1.7\0")
        + implicit(0x00080018, random_uid(random))
        + implicit(0x00081140, open_item(implicit(0x00080100, b"X ")) + SEQUENCE_END, length=UNDEFINED)
        + implicit(0x00100020, b"P1")
        + implicit(0x0020000D, random_uid(random))
        + implicit(0x0020000E, random_uid(random))
        + implicit(0x00280103, b"\1\0")
        + implicit(0x00280106, b"\xff\xff")
        + creator,
        IMPLICIT,
    )


def _big(random: Random) -> bytes:
    first, second = identity(random, ">")
    return file_of(first + second + explicit(0x00280010, "US", b"\1\0", order=">"), BIG)


def _deflated(random: Random) -> bytes:
    first, second = identity(random)
    return file_of(deflate(first + second + image() + explicit(0x7FE00010, "OB", bytes(4))), DEFLATED)


def _fragments(random: Random) -> bytes:
    first, second = identity(random)
    frames = [random.randbytes(2 * random.randrange(1, 9)) + b"\xff\xd9" for _ in range(3)]
    table = struct.pack("<3I", 0, 8 + len(frames[0]), 16 + len(frames[0]) + len(frames[1]))
    return file_of(first + second + image(frames=3) + encapsulated(frames, table), JPEG)


def _sequences(random: Random) -> bytes:
    first, second = identity(random)
    code = explicit(0x00080100, "SH", b"X ")
    for _ in range(random.randrange(5)):
        code = random.choice(
            (
                explicit(0x0040A730, "SQ", item(code) + open_item(code)),
                explicit(0x0040A730, "SQ", item(code) + SEQUENCE_END, length=UNDEFINED),
                explicit(
                    0x0040A730, "UN", item(implicit(0x00080100, b"X ")) + SEQUENCE_END, length=UNDEFINED
                ),
            )
        )
    return file_of(first + second + code + explicit(0x00420011, "OB", random.randbytes(30)))


def _texts(random: Random) -> bytes:
    first, second = identity(random)
    charset = explicit(0x00080005, "CS", random.choice((b"ISO 2022 IR 6\\ISO 2022 IR 87", b"GB18030 ")))
    name = explicit(0x00081030, "LO", b"\x1b$B;3ED\x1b(B^\\\xb0\xa1\x1b$)C\xfb\xf3 ")
    numbers = explicit(0x00200011, "IS", b"1\\-2 \\x ") + explicit(0x00201041, "DS", b"1.50\\.5\\1e400 ")
    return file_of(charset + first + name + second + numbers + explicit(0x00400244, "DA", b"20240131"))


_FORMS: Final[tuple[Callable[[Random], bytes], ...]] = (
    _plain,
    _without_preamble,
    _with_busy_preamble,
    _implicit,
    _big,
    _deflated,
    _fragments,
    _sequences,
    _texts,
)


def deflate(dataset: bytes) -> bytes:
    """A dataset as the deflated syntax has it."""
    made = zlib.compressobj(wbits=-15)
    return made.compress(dataset) + made.flush()


def inflated(content: bytes) -> bytes | None:
    """The dataset of a deflated file, if it is one that can be inflated."""
    front = content.find(meta(DEFLATED))
    if front < 0:
        return None
    try:
        return zlib.decompressobj(-15).decompress(content[front + len(meta(DEFLATED)) :], 1 << 20)
    except zlib.error:
        return None


def explicit_dataset(content: bytes) -> bytes | None:
    """The dataset of a file in explicit VR little endian with the smallest front, else None."""
    front = content.find(meta(EXPLICIT))
    return None if front < 0 else content[front + len(meta(EXPLICIT)) :]
