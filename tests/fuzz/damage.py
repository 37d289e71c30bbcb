"""Damages files, with some knowledge of where a damage hurts."""

import re
import struct
from collections.abc import Callable
from random import Random
from typing import Final

from shared.dicom.errors import NotDicom
from shared.dicom.meta import MAX_META_BYTES, read_front
from tests.fuzz.seeds import deflate, explicit_dataset, inflated, real_files, sound_file
from tests.unit.dicom.making import (
    DEFLATED,
    ITEM_END,
    SEQUENCE_END,
    WIDE,
    explicit,
    file_of,
    implicit,
    item,
)

Damage = Callable[[Random, bytes], bytes]

_SHORT_VRS: Final[list[str]] = re.findall("..", "AEASATCSDADSDTFLFDISLOLTPNSHSLSSSTTMUIULUS")
VRS: Final = (*sorted(WIDE), *_SHORT_VRS, "ZZ", "un", "\0\0")
"""Those there are, one nobody knows, one in lower case, and what implicit VR has in its place."""

TAGS: Final = (
    0x00000000,
    0x00020000,
    0x00020010,
    0x00080005,
    0x00080016,
    0x00080018,
    0x00081032,
    0x00081140,
    0x00090010,
    0x00091001,
    0x00100010,
    0x00100020,
    0x0020000D,
    0x0020000E,
    0x00280008,
    0x00280010,
    0x00280100,
    0x00280103,
    0x00280106,
    0x00291008,
    0x60003000,
    0x7FE00001,
    0x7FE00008,
    0x7FE00010,
    0xFFFCFFFC,
    0xFFFEE000,
    0xFFFEE00D,
    0xFFFEE0DD,
)
"""Those that mean something to a reader, in groups that may stand anywhere once the file is damaged."""

VALUES: Final = (
    b"",
    b"\0",
    b" ",
    b"\\",
    b"\\" * 40,
    b"^=^=\\=",
    b"1" * 500,
    b"1" * 30_000 + b"x",
    b"-0",
    b"1e400",
    b"NaN",
    b"1\\2\\3",
    b"\x1b$B\x1b(J\x1b$)C\x1b",
    b"\x1b$B!!\\!!\x1b(B",
    b"\xff\xff\xff\xff",
    b"ISO 2022 IR 87\\ISO 2022 IR 159",
    b"GB18030",
    b"../../x",
    b"a/b#c?d%25|e'f\"g<h>",
    b"\r\n\r\n--",
    "Ünï\u2028\ufffe\U0001f600".encode(),
    "e\u0301\ufb01\u0130\u0131\u017f\u03c2".encode(),
    b"\xed\xa0\x80",
    b"\x83\x36\xc7\x38",
    bytes(range(256)),
    b"99991231",
    b"1000000000",
    b"x" * 70_000,
)
LENGTHS: Final = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    12,
    0x7FFF,
    0xFFFE,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0xFFFFFFFE,
    0xFFFFFFFF,
)

# An element's header: in explicit VR by its VR, in implicit VR by a group and a length of the usual kind.
_EXPLICIT = re.compile(
    rb"(?s).{4}(?=(?:A[EST]|CS|D[AST]|F[LD]|IS|L[OT]|O[BDFLVW]|PN|S[HLQSTV]|TM|U[CILNRSTV]))"
)
_BARE = re.compile(rb"(?s)[\x02\x08\x10\x18\x20\x28\x32\x40\x54\x88\xe0\xfe][\0\x7f\xff].\S?(?=..\0\0)")


def damaged_file(random: Random) -> bytes:
    """A real or a smallest file with one to a few damages, now and then none."""
    content = a_file(random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5, 12))):
        content = damaged(random, content)
    return content


def a_file(random: Random) -> bytes:
    """A file as it came."""
    return random.choice(real_files()) if random.random() < 0.6 else sound_file(random)


def damaged(random: Random, content: bytes) -> bytes:
    """Damage a file once, or its dataset within the deflated one."""
    plain = inflated(content) if random.random() < 0.8 else None
    if plain is not None:
        return file_of(deflate(random.choice(_DAMAGES)(random, plain)), DEFLATED)
    # The front is small and most damage to it ends the reading at once, so it is mostly left alone.
    front = _front_bytes(content) if random.random() < 0.9 else 0
    return content[:front] + random.choice(_DAMAGES)(random, content[front:])


def _front_bytes(content: bytes) -> int:
    try:
        front = read_front(content[:MAX_META_BYTES], complete=True)
    except NotDicom:
        return 0
    return front.size if front else 0


def _flip(random: Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8)) if damaged else 0):
        damaged[_near_front(random, damaged)] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _overwrite(random: Random, content: bytes) -> bytes:
    at = _near_front(random, content)
    value = random.choice((*VALUES, random.randbytes(random.randrange(1, 20))))
    return content[:at] + value + content[at + len(value) :]


def _insert(random: Random, content: bytes) -> bytes:
    at = _near_front(random, content)
    return content[:at] + random.choice((*VALUES, _some_element(random))) + content[at:]


def _cut_out(random: Random, content: bytes) -> bytes:
    at = _near_front(random, content)
    return content[:at] + content[at + random.choice((1, 2, 4, 8, 100)) :]


def _cut_short(random: Random, content: bytes) -> bytes:
    return content[: _near_front(random, content)]


def _lengthen(random: Random, content: bytes) -> bytes:
    return content + random.choice((bytes(random.randrange(1, 600)), _some_element(random), b"\r\n", content))


def _repeat(random: Random, content: bytes) -> bytes:
    start, end = _between(random, content)
    return content[:end] + content[start:end] * random.choice((1, 1, 2, 100)) + content[end:]


def _remove(random: Random, content: bytes) -> bytes:
    start, end = _between(random, content)
    return content[:start] + content[end:]


def _move(random: Random, content: bytes) -> bytes:
    start, end = _between(random, content)
    rest = content[:start] + content[end:]
    at = _header(random, rest)
    return rest[:at] + content[start:end] + rest[at:]


def _splice(random: Random, content: bytes) -> bytes:
    other = a_file(random)
    return content[: _header(random, content)] + other[_header(random, other) :]


def _change_tag(random: Random, content: bytes) -> bytes:
    at = _header(random, content)
    tag = random.choice((*TAGS, random.getrandbits(32)))
    order = random.choice("<<<>")
    return content[:at] + struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + content[at + 4 :]


def _change_vr(random: Random, content: bytes) -> bytes:
    at = _header(random, content) + 4
    return content[:at] + random.choice(VRS).encode() + content[at + 2 :]


def _change_length(random: Random, content: bytes) -> bytes:
    at = _header(random, content) + random.choice((4, 6, 8))
    form = random.choice(("<H", "<I", "<I", ">I"))
    size = struct.calcsize(form)
    if len(content) < at + size:
        return content
    near = struct.unpack_from(form, content, at)[0] + random.choice((-2, -1, 1, 2, 8))
    length = random.choice((*LENGTHS, near)) % (1 << 8 * size)
    return content[:at] + struct.pack(form, length) + content[at + size :]


def _insert_element(random: Random, content: bytes) -> bytes:
    at = _header(random, content)
    return content[:at] + _some_element(random) + content[at:]


def _deflate(random: Random, content: bytes) -> bytes:
    dataset = explicit_dataset(content)
    if dataset is None:
        return _flip(random, content)
    return file_of(deflate(dataset), DEFLATED)


_DAMAGES: Final[tuple[Damage, ...]] = (
    _flip,
    _overwrite,
    _insert,
    _cut_out,
    _cut_short,
    _lengthen,
    _repeat,
    _remove,
    _move,
    _splice,
    _deflate,
    *[_change_tag, _change_vr, _change_length, _insert_element] * 3,
)


def _some_element(random: Random) -> bytes:
    tag, vr, value = random.choice(TAGS), random.choice(VRS), random.choice(VALUES)
    if vr not in WIDE:
        value = value[:0xFFFE]
    return random.choice(
        (
            explicit(tag, vr, value),
            explicit(tag, "SQ", item(explicit(tag, "LO", value[:100]))),
            explicit(tag, random.choice(("SQ", "UN", "OB")), item(value) + SEQUENCE_END, length=0xFFFFFFFF),
            implicit(tag, value),
            item(value),
            ITEM_END,
            SEQUENCE_END,
        )
    )


def _near_front(random: Random, content: bytes | bytearray) -> int:
    """A position, mostly in the header, where the bytes mean something."""
    end = random.choice((400, 2000, len(content), len(content)))
    return random.randrange(min(end, len(content)) or 1)


def _header(random: Random, content: bytes) -> int:
    """Where an element's header may start."""
    start = random.randrange(min(len(content), random.choice((300, 1500, 20_000))) or 1)
    found = random.choice((_EXPLICIT, _EXPLICIT, _BARE)).search(content, start)
    return found.start() if found else start


def _between(random: Random, content: bytes) -> tuple[int, int]:
    """Two such places in order, near each other."""
    start = _header(random, content)
    found = _EXPLICIT.search(content, start + 4)
    return start, found.start() if found and random.random() < 0.7 else min(start + 64, len(content))
