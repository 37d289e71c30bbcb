"""What each resource can be answered as, and which of it fits what is stored.

Source: API rules sections 3.1, 4.1, 5.2, 7.1 and 8.1; clients section 4.1.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

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

DICOM_XML = "application/dicom+xml"

STORE_OFFERS = (*JSON_OFFERS, Offer(DICOM_XML, (Form.SINGLE, Form.MULTIPART)))
SEARCH_OFFERS = JSON_OFFERS
METADATA_OFFERS = JSON_OFFERS

INSTANCE_OFFERS = (
    Offer("application/dicom", (Form.MULTIPART, Form.SINGLE), (ANY_SYNTAX,), default=EXPLICIT_LITTLE),
)

SERIES_OFFERS = tuple(replace(offer, forms=(Form.MULTIPART,)) for offer in INSTANCE_OFFERS)
STUDY_OFFERS = SERIES_OFFERS

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
    Offer("application/octet-stream", (Form.MULTIPART, Form.SINGLE), (ANY_SYNTAX,), default=EXPLICIT_LITTLE),
    *(
        Offer(name, (Form.MULTIPART, Form.SINGLE), syntaxes, aliases=aliases)
        for name, syntaxes, aliases in _IMAGE_TYPES
    ),
)

FRAME_LIST_OFFERS = tuple(replace(offer, forms=(Form.MULTIPART,)) for offer in FRAME_OFFERS)

# The files of these differ from Explicit VR Little Endian, but a frame taken out of them does not.
_FRAME_SYNTAXES = {IMPLICIT_LITTLE: EXPLICIT_LITTLE, DEFLATED_LITTLE: EXPLICIT_LITTLE}

# What Azure can make, whatever is stored.
_ALWAYS_OFFERED = frozenset({ANY_SYNTAX, EXPLICIT_LITTLE, JPEG_2000_LOSSLESS})


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


def frame_syntax(stored: str) -> str:
    """Name the transfer syntax of a frame taken as it is from a file stored in `stored`."""
    return _FRAME_SYNTAXES.get(stored, stored)


def settle(choices: Sequence[Choice], stored: Collection[str]) -> Choice:
    """Pick the best choice that what is stored can satisfy as it is.

    Call it before a missing resource is reported: Azure judges a syntax it cannot make before any lookup,
    while we serve such a syntax where it is the stored one.

    Args:
        choices: From `choose` or `choose_frames`.
        stored: The transfer syntaxes of what is asked for, frames by `frame_syntax`; none if it is missing.

    Raises:
        NotAcceptable: The client names only transfer syntaxes other than the stored ones.

    Source: API rules sections 4.1 and 4.2.
    """
    for choice in choices:
        accepted = choice.transfer_syntaxes
        if ANY_SYNTAX in accepted or (stored and all(syntax in accepted for syntax in stored)):
            return choice
        if not stored and not _ALWAYS_OFFERED.isdisjoint(accepted):
            return choice
    raise NotAcceptable(
        "None of the transfer syntaxes in the Accept header can be given. "
        'Ask for "transfer-syntax=*" to get what is stored.'
    )
