"""What rendered resources and thumbnails can be answered as.

Source: PS3.18 sections 8.7.4 and 10.4.4; API rules section 6; clients sections 4.1 and 6.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.errors import BadRequest, NotAcceptable
from shared.web.accept import Choice, Form, MediaRange, Offer, choose

PICTURES: Final = ("image/jpeg", "image/png", "image/gif")
"""The best first."""

PDF: Final = "application/pdf"
XML: Final = "text/xml"
MPEG: Final = "video/mpeg"
MP4: Final = "video/mp4"
DOCUMENTS: Final = (PDF, XML, MPEG, MP4)
"""What is given as it is stored, because it is no still picture."""

# OHIF asks for octets where it wants a picture.
_OCTETS: Final = "application/octet-stream"
_ANY: Final = "*/*"
_ALIASES: Final = {MPEG: ("video/mpeg2",), MP4: ("video/h265",)}
_SINGLE: Final = (Form.SINGLE,)


def choose_picture(ranges: Sequence[MediaRange], names: Sequence[str] = PICTURES) -> Choice:
    """How the client would take a resource that is one item; whatever is asked for, it is a single part.

    Args:
        ranges: From `parse_accept`.
        names: The media types that it can be given as, best first.

    Raises:
        NotAcceptable: Nothing asked for is offered.
    """
    asked = [replace(wish, form=None) for wish in _lenient(ranges)]
    return choose([Offer(name, _SINGLE, aliases=_ALIASES.get(name, ())) for name in names], asked)[0]


def choose_picture_or_pictures(ranges: Sequence[MediaRange]) -> Choice:
    """The same for a resource with many items: one of them for all, or each in a part where so asked.

    Raises:
        NotAcceptable: Nothing asked for is offered.
    """
    forms = (Form.SINGLE, Form.MULTIPART)
    return choose([Offer(name, forms) for name in PICTURES], _lenient(ranges))[0]


def choose_pictures(ranges: Sequence[MediaRange]) -> Choice:
    """The same for several frames, which need a part each.

    Raises:
        NotAcceptable: Nothing asked for is offered.
        BadRequest: They were asked for in a single part.
    """
    try:
        return choose([Offer(name, (Form.MULTIPART,)) for name in PICTURES], _lenient(ranges))[0]
    except NotAcceptable:
        choose_picture(ranges)
    raise BadRequest(
        "Several frames are rendered only as multipart/related; ask for that, with a type such as "
        '"image/jpeg", or for one frame.'
    )


def _lenient(ranges: Sequence[MediaRange]) -> list[MediaRange]:
    """The same without what says nothing of pictures: octets and transfer syntaxes (PS3.18 section 8.7.4)."""
    return [
        replace(wish, media=_ANY, form=None, transfer_syntaxes=())
        if wish.media == _OCTETS
        else replace(wish, transfer_syntaxes=())
        for wish in ranges
    ]
