"""Content codings: undone whole, byte by byte, cut short, damaged, and blown up."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from random import Random

import pytest

from shared.errors import BadRequest, TooLarge, UnsupportedCoding
from shared.web.coding import FREE_BYTES, MAX_MEMBERS, PIECE_BYTES, Inflater, parse_codings

TEXT = bytes(Random(1).choices(b"abcdefgh", k=100_000))
PLENTY = 10_000_000


def raw_deflate(data: bytes) -> bytes:
    """Deflate without the zlib header that the coding's name means."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def inflate(codings: Sequence[str], chunks: Iterable[bytes], most: int = PLENTY) -> bytes:
    """All that is in a body."""
    inflater = Inflater(codings, most)
    found = b"".join(piece for chunk in chunks for piece in inflater.feed(chunk))
    inflater.finish()
    return found


def cut(data: bytes, size: int) -> list[bytes]:
    """The same in chunks."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        (None, ()),
        ("", ()),
        ("identity", ()),
        ("gzip", ("gzip",)),
        ("X-GZIP", ("gzip",)),
        ("deflate", ("deflate",)),
        ("gzip , identity, deflate", ("deflate", "gzip")),
    ],
)
def test_codings_are_undone_in_the_order_opposite_to_theirs(
    header: str | None, codings: tuple[str, ...]
) -> None:
    """RFC 9110 section 8.4."""
    assert parse_codings(header) == codings


@pytest.mark.parametrize("header", ["br", "gzip, zstd", "gzip,gzip,gzip,gzip", "gzip;q=1"])
def test_unknown_codings_are_refused_with_what_is_known(header: str) -> None:
    """RFC 9110 section 15.5.16."""
    with pytest.raises(UnsupportedCoding) as refusal:
        parse_codings(header)

    assert refusal.value.status == 415
    assert refusal.value.headers == {"Accept-Encoding": "gzip, deflate"}


FORMS = {
    "gzip": (["gzip"], gzip.compress(TEXT)),
    "zlib": (["deflate"], zlib.compress(TEXT)),
    "raw": (["deflate"], raw_deflate(TEXT)),
    "twice": (["deflate", "gzip"], zlib.compress(gzip.compress(TEXT))),
    "members": (["gzip"], gzip.compress(TEXT[:500]) + gzip.compress(b"") + gzip.compress(TEXT[500:])),
    "padded": (["gzip"], gzip.compress(TEXT) + bytes(512)),
    "padded within": (["gzip"], gzip.compress(TEXT[:9]) + bytes(3) + gzip.compress(TEXT[9:])),
    "none": ([], TEXT),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("size", [1, 7, 4096, 1_000_000])
def test_a_body_is_inflated_however_it_is_cut(name: str, size: int) -> None:
    """Several members and padding behind them are legal."""
    codings, body = FORMS[name]

    assert inflate(codings, cut(body, size)) == TEXT


@pytest.mark.parametrize("name", [name for name in FORMS if name not in ("none", "padded")])
@pytest.mark.parametrize("lost", [1, 4, 100])
def test_a_body_that_was_cut_off_is_malformed(name: str, lost: int) -> None:
    """It cannot pass for a whole one."""
    codings, body = FORMS[name]

    with pytest.raises(BadRequest):
        inflate(codings, [body[:-lost]])


def test_an_empty_body_is_no_compressed_one() -> None:
    with pytest.raises(BadRequest):
        inflate(["gzip"], [])


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", TEXT),
        ("gzip", gzip.compress(TEXT)[:50] + b"damaged" + gzip.compress(TEXT)[57:]),
        ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
        ("gzip", gzip.compress(TEXT) + b"more"),
        ("deflate", b"\x78\x9cdamaged"),
        ("deflate", zlib.compress(TEXT) + b"more"),
        ("gzip", zlib.compress(TEXT)),
    ],
)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_damaged_body_is_malformed(coding: str, body: bytes, size: int) -> None:
    """Checksums count."""
    with pytest.raises(BadRequest):
        inflate([coding], cut(body, size))


def test_no_piece_is_larger_than_its_bound() -> None:
    """A chunk may hold a thousand times its size."""
    body = gzip.compress(bytes(50_000_000))
    inflater = Inflater(["gzip"], 50_000_000)

    sizes = [len(piece) for piece in inflater.feed(body)]
    inflater.finish()

    assert sum(sizes) == 50_000_000
    assert max(sizes) <= PIECE_BYTES


def test_a_body_ends_where_the_limit_is_passed() -> None:
    """The limit itself is allowed."""
    body = gzip.compress(TEXT)

    assert inflate(["gzip"], [body], len(TEXT)) == TEXT
    with pytest.raises(TooLarge, match=str(len(TEXT) - 1)):
        inflate(["gzip"], [body], len(TEXT) - 1)


def test_every_layer_has_the_limit() -> None:
    """A bomb whose middle is large and whose inside is nothing."""
    body = gzip.compress(gzip.compress(b"") + bytes(20_000_000))

    with pytest.raises(TooLarge):
        inflate(["gzip", "gzip"], [body], 1_000_000)


def test_a_body_has_so_many_members() -> None:
    """Those that hold nothing cost time too."""
    member = gzip.compress(b"")

    assert inflate(["gzip"], [member * MAX_MEMBERS]) == b""
    with pytest.raises(BadRequest, match=str(MAX_MEMBERS)):
        inflate(["gzip"], [member * (MAX_MEMBERS + 1)])


@pytest.mark.parametrize("codings", [["gzip"], ["gzip", "gzip"]])
def test_a_step_that_gives_nothing_is_seen(codings: Sequence[str]) -> None:
    """Whoever inflates lets others run after each member and each piece of padding, within another too."""
    body = gzip.compress(b"") * 500 + bytes(20_000_000)
    if len(codings) > 1:
        body = gzip.compress(body)

    steps = list(Inflater(codings, 30_000_000).feed(body))

    assert not any(steps)
    assert len(steps) > 500 + 20_000_000 // PIECE_BYTES


def test_a_bomb_is_given_up_once_it_is_large() -> None:
    """A few megabytes of zeros in zeros must not keep the service at work for hours."""
    pieces = Inflater(["gzip"], 10**12).feed(gzip.compress(bytes(4 * FREE_BYTES)))
    given: list[int] = []

    with pytest.raises(TooLarge, match="200 times"):
        given.extend(map(len, pieces))

    assert FREE_BYTES - PIECE_BYTES <= sum(given) <= FREE_BYTES


def test_small_bodies_may_shrink_as_far_as_they_can() -> None:
    zeros = bytes(FREE_BYTES // 8)

    assert inflate(["gzip"], [gzip.compress(zeros)], FREE_BYTES) == zeros
