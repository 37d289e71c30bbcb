"""What each resource can be answered as, a table for each, and which of it fits what is stored.

Pictures have theirs in `pictures`.

Source: API rules sections 3.1, 4.1, 5.2, 7.1 and 8.1; clients section 4.1.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from shared.errors import BadRequest, NotAcceptable
from shared.web.accept import ANY_SYNTAX, Choice, Form, MediaRange, Offer, choose

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"

_JPEG = "1.2.840.10008.1.2.4"

DICOM_JSON = "application/dicom+json"

JSON_OFFERS = (
    Offer(DICOM_JSON, (Form.SINGLE,)),
    Offer("application/json", (Form.SINGLE,)),
)

COUNT_OFFERS = tuple(reversed(JSON_OFFERS))
"""A count is no DICOM, but who asks for DICOM JSON only gets it as that."""

DICOM_XML = "application/dicom+xml"

STORE_OFFERS = (*JSON_OFFERS, Offer(DICOM_XML, (Form.SINGLE, Form.MULTIPART)))
SEARCH_OFFERS = JSON_OFFERS
METADATA_OFFERS = (*JSON_OFFERS, Offer(DICOM_XML, (Form.MULTIPART,)))

FILE = "application/dicom"
OCTETS = "application/octet-stream"
ZIP = "application/zip"

_FILE = Offer(FILE, (Form.MULTIPART, Form.SINGLE), (ANY_SYNTAX,), default=EXPLICIT_LITTLE)
# Octets of a study are its bulk data, and not its files (PS3.18 section 10.4.4).
_BULK = Offer(OCTETS, (Form.MULTIPART,), (ANY_SYNTAX,))

INSTANCE_OFFERS = (_FILE, _BULK)
SERIES_OFFERS = (replace(_FILE, forms=(Form.MULTIPART,)), _BULK, Offer(ZIP, (Form.SINGLE,)))
STUDY_OFFERS = SERIES_OFFERS
URI_OFFERS = (replace(_FILE, forms=(Form.SINGLE,)),)

# The syntaxes of an image type are those of PS3.18 table 8.7.3-5, its default first; the aliases are
# what older viewers call it.
_IMAGE_TYPES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "image/jpeg",
        (f"{_JPEG}.70", f"{_JPEG}.57", f"{_JPEG}.50", f"{_JPEG}.51"),
        ("image/jll", "image/dicom+jpeg"),
    ),
    ("image/jls", (f"{_JPEG}.80", f"{_JPEG}.81"), ("image/x-jls",)),
    ("image/jp2", (JPEG_2000_LOSSLESS, f"{_JPEG}.91"), ("image/dicom+jp2",)),
    ("image/jpx", (f"{_JPEG}.92", f"{_JPEG}.93"), ("image/dicom+jpx",)),
    ("image/jphc", (f"{_JPEG}.201", f"{_JPEG}.202", f"{_JPEG}.203"), ("image/jhc",)),
    ("image/jxl", (f"{_JPEG}.110", f"{_JPEG}.111", f"{_JPEG}.112"), ()),
    ("image/dicom-rle", ("1.2.840.10008.1.2.5",), ("image/x-dicom-rle",)),
)

# The same for streams that hold all frames of an instance.
_VIDEO_TYPES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("video/mpeg", tuple(f"{_JPEG}.{end}" for end in ("100", "100.1", "101", "101.1")), ("video/mpeg2",)),
    ("video/mp4", tuple(f"{_JPEG}.{end}{part}" for end in range(102, 107) for part in ("", ".1")), ()),
    ("video/h265", (f"{_JPEG}.107", f"{_JPEG}.108"), ()),
)

FRAME_OFFERS = (
    Offer(OCTETS, (Form.MULTIPART, Form.SINGLE), (ANY_SYNTAX,), default=EXPLICIT_LITTLE),
    *(
        Offer(name, (Form.MULTIPART, Form.SINGLE), syntaxes, default=syntaxes[0], aliases=aliases)
        for name, syntaxes, aliases in _IMAGE_TYPES
    ),
)

FRAME_LIST_OFFERS = tuple(replace(offer, forms=(Form.MULTIPART,)) for offer in FRAME_OFFERS)

DOCUMENT_TYPES = ("application/pdf", "text/xml", "model/stl", "model/obj", "model/mtl")
"""What an encapsulated document may be answered as (PS3.3 annexes A.45 and A.85)."""

_EITHER = (Form.SINGLE, Form.MULTIPART)
# MONAI Deploy asks for bulk data as application/dicom.
_VALUE = Offer(OCTETS, _EITHER, (ANY_SYNTAX,), aliases=(FILE,))

VALUE_OFFERS = (_VALUE,)
DOCUMENT_OFFERS = {name: (Offer(name, _EITHER, (ANY_SYNTAX,)), _VALUE) for name in DOCUMENT_TYPES}
PIXEL_OFFERS = tuple(
    replace(offer, forms=_EITHER, aliases=offer.aliases if index else _VALUE.aliases)
    for index, offer in enumerate(FRAME_OFFERS)
)
"""Compressed pixel data of one frame."""

VIDEO_OFFERS = {
    name: (Offer(name, _EITHER, (ANY_SYNTAX,), aliases=aliases), _VALUE)
    for name, aliases in (("video/mpeg", ("video/mpeg2",)), ("video/mp4", ("video/h265",)))
}
"""A video, which is one stream."""

PIXEL_LIST_OFFERS = tuple(replace(offer, forms=(Form.MULTIPART,)) for offer in PIXEL_OFFERS)
BULK_OFFERS = (
    _VALUE,
    *(offers[0] for offers in DOCUMENT_OFFERS.values()),
    *PIXEL_OFFERS[1:],
    *(offers[0] for offers in VIDEO_OFFERS.values()),
)
"""A value of which nothing is known yet."""

ALL_BULK_OFFERS = (replace(_VALUE, forms=(Form.MULTIPART,)),)

# The files of these differ from Explicit VR Little Endian, but a frame taken out of them does not.
_FRAME_SYNTAXES = {IMPLICIT_LITTLE: EXPLICIT_LITTLE, DEFLATED_LITTLE: EXPLICIT_LITTLE}

CanMake = Callable[[str, str], bool]
"""Whether what is stored in the first transfer syntax can be converted to the second; the first is empty when
nothing is stored."""


def choose_frames(ranges: Sequence[MediaRange], count: int) -> tuple[Choice, ...]:
    """List the ways in which the client would take so many frames, best first.

    Raises:
        NotAcceptable: Nothing asked for is offered.
        BadRequest: Several frames were asked for in a single part.

    Source: API rules sections 5.1 and 5.2.
    """
    if count == 1:
        return choose(FRAME_OFFERS, ranges)
    try:
        return choose(FRAME_LIST_OFFERS, ranges)
    except NotAcceptable:
        choose(FRAME_OFFERS, ranges)
    raise BadRequest("Several frames are offered only as multipart/related; ask for that, or for one frame.")


def syntaxes_of(media_type: str) -> tuple[str, ...]:
    """List the transfer syntaxes of an image or video type, its default first; none if it is not known.

    Source: PS3.18 table 8.7.3-5.
    """
    for name, syntaxes, aliases in (*_IMAGE_TYPES, *_VIDEO_TYPES):
        if media_type == name or media_type in aliases:
            return syntaxes
    return ()


def is_video(transfer_syntax: str) -> bool:
    """Whether one stream of this syntax holds all frames of an instance."""
    return any(transfer_syntax in syntaxes for _, syntaxes, _ in _VIDEO_TYPES)


def video_type(transfer_syntax: str) -> str:
    """Name the media type of a video as it is stored; players know H.265 by the name of its container."""
    return "video/mpeg" if transfer_syntax in syntaxes_of("video/mpeg") else "video/mp4"


def frame_syntax(stored: str) -> str:
    """Name the transfer syntax of a frame taken as it is from a file stored in `stored`."""
    return _FRAME_SYNTAXES.get(stored, stored)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to answer: how it is wrapped and named, and what is done with what is stored."""

    choice: Choice
    makes: str | None = None
    """The transfer syntax to convert to; None for what is stored as it is."""


def settle(choices: Sequence[Choice], stored: Collection[str], can_make: CanMake) -> tuple[Way, ...]:
    """List the ways to answer, best first. What is converted may still turn out not to be convertible.

    Call it before a missing resource is reported: Azure judges a syntax it cannot make before any lookup,
    while we serve such a syntax where it is the stored one.

    Args:
        choices: From `choose` or `choose_frames`.
        stored: The transfer syntaxes of what is asked for, frames by `frame_syntax`; none if it is missing.
        can_make: What the codecs are good for.

    Raises:
        NotAcceptable: The client names only transfer syntaxes that are not stored and cannot be made.

    Source: API rules sections 4.1, 4.2 and 5.2.
    """
    ways = tuple(way for choice in choices for way in _ways(choice, stored, can_make))
    if not ways:
        raise NotAcceptable(
            "None of the transfer syntaxes in the Accept header can be given. "
            'Ask for "transfer-syntax=*" to get what is stored.'
        )
    return ways


def _ways(choice: Choice, stored: Collection[str], can_make: CanMake) -> Iterator[Way]:
    accepted = choice.transfer_syntaxes
    fits = ANY_SYNTAX in accepted or (bool(stored) and all(syntax in accepted for syntax in stored))
    # Only where any syntax would do is the standard's own preferred to the stored one.
    if fits and (choice.default is None or ANY_SYNTAX not in accepted or {*stored} <= {choice.default}):
        yield Way(choice)
        return
    # What was not named may be missed: of several instances those come so that can.
    enough = any if fits else all
    for syntax in _targets(choice):
        if enough(can_make(each, syntax) for each in stored or [""] if each != syntax):
            yield Way(choice, syntax)
    if fits:
        yield Way(choice)


def _targets(choice: Choice) -> Sequence[str]:
    """What may be made for a choice.

    Plain bytes are pixels that are not compressed, and under an image type goes what belongs to it (PS3.18
    section 8.7.3). Where no syntax was named, nothing but the default is made.
    """
    if choice.stored_only:
        return ()
    named = (choice.default,) if choice.default else choice.transfer_syntaxes
    if choice.media_type == FILE:
        return named
    carried = syntaxes_of(choice.media_type) or (EXPLICIT_LITTLE,)
    return [syntax for syntax in named if syntax in carried]
