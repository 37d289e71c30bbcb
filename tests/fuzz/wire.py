"""Store requests as the bytes that go over the wire, sound and damaged."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from shared.dicom.errors import NotDicom
from tests.fuzz.damage import VALUES, damaged, damaged_file
from tests.fuzz.forms import a_form
from tests.fuzz.seeds import large_file, sound_file
from tests.unit.dicom.making import read

LARGE_SHARE: Final = 0.004
"""How many files are too large to wait in memory: few, as the emulator keeps all of them."""

Address = tuple[str, str, str]
"""Study, series and instance."""

MULTIPART: Final = 'multipart/related; type="application/dicom"; boundary='


@dataclass(frozen=True, slots=True)
class Request:
    """One store request."""

    method: str
    version: str
    partition: str
    path: str
    """Below the partition."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    pieces: tuple[int, ...]
    """Bytes of each chunk; empty for a body whose length is told at first."""

    files: tuple[bytes, ...] | None
    """What the parts were before the body was damaged; None where the service makes the files."""

    expected: frozenset[Address]
    """What every archive stores of it, unless the body was damaged."""

    is_sound: bool
    """Whether all but the files is as it should be, so that each of them counts for itself."""

    leaves_at: int | None
    """Where the client hangs up, if it does."""

    @property
    def root(self) -> str:
        """What stands before `/studies` in every path of this request."""
        return f"/{self.version}/partitions/{self.partition}"

    def wire(self) -> bytes:
        """Everything the client sends."""
        lines = [f"{self.method} {self.root}/{self.path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append("Transfer-Encoding: chunked" if self.pieces else f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        whole = head + (b"".join(self._chunks()) if self.pieces else self.body)
        return whole[: self.leaves_at]

    def _chunks(self) -> Iterator[bytes]:
        at = number = 0
        while at < len(self.body):
            piece = self.body[at : at + self.pieces[number % len(self.pieces)]]
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
            at, number = at + len(piece), number + 1
        yield b"0\r\n\r\n"


def address_of(content: bytes) -> Address:
    """The UIDs of a file that can be read."""
    identity = read(content).identity
    return identity.study, identity.series, identity.instance


def is_readable(content: bytes) -> bool:
    """Whether a file can be read."""
    try:
        read(content)
    except NotDicom:
        return False
    return True


def a_request(random: Random) -> Request:
    """A store request of one of the forms; what may be damaged is at times."""
    made = _a_body(random)
    body, content_type = made.content, made.content_type
    damage = random.choice((None, None, None, _damage_body, _damage_body, _damage_type))
    if damage:
        body, content_type = damage(random, body, content_type)
    headers = [("Content-Type", content_type), ("Accept", random.choice(_ACCEPTS))]
    if random.random() < 0.1:
        body = gzip.compress(body, 1)
        headers.append(("Content-Encoding", "gzip"))
        if random.random() < 0.5:
            body, damage = _hurt(random, body), _damage_body
    path, has_odd_path = _a_path(random, made.expected)
    return Request(
        method=random.choice(("POST", "POST", "POST", "PUT")),
        version=random.choice(("v2", "v2", "v1")),
        partition=f"f{random.getrandbits(64):x}",
        path=path,
        headers=tuple(headers),
        body=body,
        pieces=_some_pieces(random, body),
        files=made.files,
        expected=made.expected,
        is_sound=damage is None and not has_odd_path,
        leaves_at=random.randrange(len(body) + 200) if random.random() < 0.08 else None,
    )


@dataclass(frozen=True, slots=True)
class _Body:
    """A body before it is damaged."""

    content: bytes
    content_type: str
    files: tuple[bytes, ...] | None
    expected: frozenset[Address]


def _a_body(random: Random) -> _Body:
    boundary = random.choice(("0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1", "b", "=_a'b()+,-./:=?"))
    if random.random() < 0.25:
        form = a_form(random)
        content_type = f'multipart/related; type="{form.media_type}"; boundary="{boundary}"'
        expected = frozenset({form.address} if form.address else ())
        return _Body(form.render(boundary), content_type, None, expected)
    sound = [random.random() < 0.5 for _ in range(random.choice((0, 1, 1, 1, 2, 3, 3, 6)))]
    files = tuple(_sound(random) if each else _damaged(random) for each in sound)
    expected = frozenset(address_of(content) for content, each in zip(files, sound, strict=True) if each)
    if len(files) == 1 and random.random() < 0.4:
        return _Body(files[0], "application/dicom", files, expected)
    return _Body(multipart(files, boundary), f'{MULTIPART}"{boundary}"', files, expected)


def _sound(random: Random) -> bytes:
    return large_file(random) if random.random() < LARGE_SHARE else sound_file(random)


def _damaged(random: Random) -> bytes:
    if random.random() < LARGE_SHARE:
        return damaged(random, large_file(random)[: -random.randrange(1, 300_000)])
    return damaged_file(random)


def _some_pieces(random: Random, body: bytes) -> tuple[int, ...]:
    """Lengths of chunks, or none."""
    if random.random() < 0.5:
        return ()
    step = 100 if len(body) > 100_000 else 1
    return tuple(step * random.choice((1, 7, 200, 4000, 100_000)) for _ in range(3))


def multipart(files: Sequence[bytes], boundary: str) -> bytes:
    """A body that holds the files."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(head + content + b"\r\n" for content in files) + f"--{boundary}--\r\n".encode()


_ACCEPTS: Final = (
    *["application/dicom+json"] * 8,
    "*/*",
    "application/json, application/dicom+json;q=0.5",
    "application/dicom+xml",
    "text/html",
    'multipart/related; type="',
    ";;,q=",
)
_TYPES: Final = (
    "",
    "application/dicom",
    "application/dicom; transfer-syntax=*",
    "multipart/related",
    'multipart/related; type="application/dicom"',
    'multipart/related; boundary="',
    "multipart/related; boundary=b; start=<x>",
    f"{MULTIPART}{'b' * 400}",
    f'{MULTIPART}"b\xe9"',
    'multipart/related; type="application/dicom+json"; boundary=b',
    'multipart/related; type="application/dicom+xml"; boundary=b',
    "multipart/form-data; boundary=b",
    "application/dicom+json",
    "application/octet-stream",
    "\xff/\xfe",
)


def _a_path(random: Random, expected: frozenset[Address]) -> tuple[str, bool]:
    """Where to store, and whether that alone may have every file refused."""
    if random.random() < 0.8:
        return "studies", False
    named = min(expected)[0] if expected else "1.2"
    odd = ("1.2.3", "1.2.", "a", "%00", "%2e%2e%2f", "1" * 65, "1.2.3%20", "%F0%9F%92%A9", "?x=<script>")
    return f"studies/{random.choice((named, named, *odd))}", True


_MARKS: Final = (
    b"\r\n",
    b"\n",
    b"\r",
    b"--",
    b"--b--",
    b"\r\n--b\r\n",
    b"\r\n--b\r\n\r\n",
    b"\r\n--b--\r\n",
    b"--b\r\nContent-Type: text/plain\r\n\r\n",
    b"Content-Type: application/dicom+json\r\n",
    b"Content-Length: 99999999999\r\n",
    b": x\r\n",
    b"\0",
    b"x" * 9000,
)


def _damage_body(random: Random, body: bytes, content_type: str) -> tuple[bytes, str]:
    for _ in range(random.choice((1, 1, 2, 4))):
        body = _hurt(random, body)
    return body, content_type


def _hurt(random: Random, body: bytes) -> bytes:
    """Damage a body, mostly near a line end or two dashes, where its frame is."""
    near = random.choice((b"\r\n--", b"\r\n", b"Content", b"--", b""))
    at = max(body.find(near, random.randrange(len(body) or 1)), 0) + random.choice((0, 0, 1, 2, len(near)))
    return random.choice(_HURTS)(random, body, at)


def _put_in(random: Random, body: bytes, at: int) -> bytes:
    return body[:at] + random.choice((*_MARKS, *VALUES)) + body[at:]


def _take_out(random: Random, body: bytes, at: int) -> bytes:
    return body[:at] + body[at + random.choice((1, 2, 4, 40)) :]


def _change(random: Random, body: bytes, at: int) -> bytes:
    return body[:at] + random.randbytes(1) + body[at + 1 :]


def _end(random: Random, body: bytes, at: int) -> bytes:
    return body[:at]


def _double(random: Random, body: bytes, at: int) -> bytes:
    return body + body[at : at + 100_000]


_HURTS: Final[tuple[Callable[[Random, bytes, int], bytes], ...]] = (
    _put_in,
    _put_in,
    _take_out,
    _change,
    _end,
    _double,
)


def _damage_type(random: Random, body: bytes, content_type: str) -> tuple[bytes, str]:
    return body, random.choice(
        (*_TYPES, content_type.upper(), content_type.replace('"', ""), content_type[:-2])
    )
