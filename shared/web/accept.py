"""Finding out in which form a client wants its answer.

Azure and PS3.18 answer 406 to an absent Accept header, and Azure to one it cannot parse. Real clients send
none, or two joined by accident or types with unquoted slashes; so what cannot be read is ignored here, and
406 is left for a client that states well-formed wishes of which none can be met.

The answer to "which form" is a list, best first, because some wishes depend on the transfer syntax of what is
stored. `choose` judges before anything is looked up; `shared.web.offers.settle` decides afterwards.

Source: API rules section 4.1, clients section 4.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import unquote

from shared.errors import NotAcceptable
from shared.web.media import parse_media_type, split_outside_quotes

ANY_SYNTAX = "*"

_ANY_MEDIA = "*/*"
_OPEN = (_ANY_MEDIA, "application/*")
"""Ranges that ask for no type of their own, and so for no transfer syntax (API rules section 4.1)."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_QUALITY = re.compile(r"(0(\.[0-9]*)?|\.[0-9]+|1(\.0*)?)")


class Form(Enum):
    """How a payload is wrapped."""

    SINGLE = "single"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept header."""

    media: str
    """Media type of the payload, in lower case; may be `*/*` or end in `/*`."""

    form: Form | None
    """How the payload is to be wrapped; None leaves it to us."""

    transfer_syntaxes: tuple[str, ...] = ()
    """The transfer syntaxes named, in the order sent; UIDs or `*`."""

    quality: float = 1.0
    """Its weight, 0 to 1; 0 excludes what it matches."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One form in which a resource can be answered."""

    media_type: str
    """Media type of the payload."""

    forms: tuple[Form, ...]
    """How it may be wrapped; the first is used where the client leaves it open."""

    transfer_syntaxes: tuple[str, ...] = ()
    """The transfer syntaxes this media type can carry; `*` for any, none where there is no such thing."""

    default: str | None = None
    """The transfer syntax made for a client that names this media type and no syntax."""

    aliases: tuple[str, ...] = ()
    """Older names of the media type."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One form in which a client would take the answer."""

    form: Form
    media_type: str
    """Media type of the payload, under the name the client used."""

    transfer_syntaxes: tuple[str, ...] = ()
    """The acceptable transfer syntaxes: UIDs in order of preference, or only `*` for any."""

    default: str | None = None
    """Where the client named none: the one the standard would have us send if we can."""

    stored_only: bool = False
    """Whether it counts only where it is what is stored, and nothing is converted for it."""


def parse_accept(header: str | None, parameter: str | None = None) -> tuple[MediaRange, ...]:
    """Read an Accept header, and the `accept` parameter of the query, which goes before it.

    Entries that cannot be read are left out, so nothing readable gives an empty result. The header still
    counts behind the parameter: Cornerstone3D lets a site add one that the server is free to ignore.

    Args:
        header: All Accept headers of the request, joined by commas.
        parameter: From `accept_parameter`.

    Returns:
        The best first: by weight, then those that take any transfer syntax by name, then as sent.

    Source: PS3.18 section 8.7.8.1, API rules section 4.1, clients section 4.
    """
    return (*_parse_ranges(parameter or ""), *_parse_ranges(header or ""))


def accept_parameter(query: str) -> str | None:
    """Find the `accept` parameter in a raw query string, and decode it.

    A plus sign stays one, for `application/dicom+json`, but for where only a blank can stand.
    """
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.lower() == "accept":
            return re.sub(r"([;,])\++", r"\1 ", unquote(value))
    return None


def choose(offers: Sequence[Offer], ranges: Sequence[MediaRange]) -> tuple[Choice, ...]:
    """List the ways in which the client would take what we offer, best first.

    Args:
        offers: What the resource can be answered as, best first; see `shared.web.offers`.
        ranges: From `parse_accept`; none at all means anything.

    Raises:
        NotAcceptable: Nothing asked for is offered.

    Source: API rules section 4.1, clients section 4.
    """
    asked = ranges or (MediaRange(_ANY_MEDIA, None),)
    choices = [choice for wish in asked for choice in _choices_for(wish, asked, offers)]
    if not choices:
        names = ", ".join(dict.fromkeys(_describe(offer, form) for offer in offers for form in offer.forms))
        raise NotAcceptable(f"Nothing in the Accept header can be given; this is offered as {names}.")
    return tuple(dict.fromkeys(choices))


def _parse_ranges(text: str) -> list[MediaRange]:
    parsed = (_parse_range(entry) for entry in split_outside_quotes(text, ","))
    ranges = [entry for entry in parsed if entry is not None]
    # Between equal weights Azure prefers the entry that takes any transfer syntax by name.
    ranges.sort(key=lambda entry: (-entry.quality, ANY_SYNTAX not in entry.transfer_syntaxes))
    return ranges


def _parse_range(text: str) -> MediaRange | None:
    # dcm4che and Java's own default send a lone asterisk.
    media = parse_media_type(re.sub(r"^\s*\*\s*(?=;|$)", _ANY_MEDIA, text))
    if media is None or (media.type == "*" and media.subtype != "*"):
        return None
    syntaxes = [value for value in media.get_all("transfer-syntax") if value == "*" or _UID.fullmatch(value)]
    weight = media.get("q") or ""
    quality = float(weight) if _QUALITY.fullmatch(weight) else 1.0
    if media.name not in ("multipart/related", "multipart/*"):
        open_form = media.subtype == "*"
        return MediaRange(media.name, None if open_form else Form.SINGLE, tuple(syntaxes), quality)
    payload = _payload(media.get("type"))
    return MediaRange(payload, Form.MULTIPART, tuple(syntaxes), quality) if payload else None


def _payload(kind: str | None) -> str | None:
    if kind is None or kind == "*":
        return _ANY_MEDIA
    media = parse_media_type(kind)
    return media.name if media else None


def _choices_for(wish: MediaRange, asked: Sequence[MediaRange], offers: Sequence[Offer]) -> Iterable[Choice]:
    if not wish.quality:
        return
    meant = [(_form(wish, offer), offer) for offer in offers]
    found = [
        choice
        for form, offer in meant
        if form and not any(_overrules(other, wish, offer, form) for other in asked)
        for choice in _spell_out(wish, form, offer, offers)
    ]
    if wish.media.endswith("/*") and not wish.transfer_syntaxes:
        # Of all that match a wildcard, what is stored so goes before what would have to be made.
        yield from (replace(choice, stored_only=True) for choice in found if choice.default)
    yield from found


def _form(wish: MediaRange, offer: Offer) -> Form | None:
    """Decide how an offer would be wrapped to match a wish; None when it does not match."""
    if not _covers(wish.media, offer):
        return None
    if wish.form in offer.forms:
        return wish.form
    # JSON and images are never multipart, but a multipart of anything asks for no more than "anything" does.
    return offer.forms[0] if wish.form is None or wish.media == _ANY_MEDIA else None


def _covers(media: str, offer: Offer) -> bool:
    if media.endswith("/*"):
        return media == _ANY_MEDIA or offer.media_type.startswith(media[:-1])
    return media == offer.media_type or media in offer.aliases


def _overrules(other: MediaRange, wish: MediaRange, offer: Offer, form: Form) -> bool:
    """Tell whether a more specific entry gives the offer a lower weight (PS3.18 section 8.7.8.1)."""
    return (
        other.quality < wish.quality
        and not other.transfer_syntaxes
        and _specificity(other) > _specificity(wish)
        and _form(other, offer) == form
    )


def _specificity(wish: MediaRange) -> int:
    return 2 - wish.media.count("*")


def _spell_out(wish: MediaRange, form: Form, offer: Offer, offers: Sequence[Offer]) -> Iterable[Choice]:
    """Say what a matching wish means in transfer syntaxes."""
    own, named = offer.transfer_syntaxes, wish.transfer_syntaxes
    media_type = offer.media_type if "*" in wish.media else wish.media
    if not own:
        yield Choice(form, media_type)
    elif not named:
        yield Choice(form, media_type, own, None if wish.media in _OPEN else offer.default)
    elif own == (ANY_SYNTAX,):
        yield Choice(form, media_type, own if ANY_SYNTAX in named else named)
    else:
        yield from _spell_out_bound(wish, form, offer, offers)


def _spell_out_bound(wish: MediaRange, form: Form, offer: Offer, offers: Sequence[Offer]) -> Iterable[Choice]:
    """Do so for a media type bound to some syntaxes, when the wish names others.

    OHIF pairs types and syntaxes by a table of its own, and adds `transfer-syntax=*` to any of them. Such a
    pair is served, under the media type that tells the truth about the syntax.
    """
    named = wish.transfer_syntaxes
    media_type = offer.media_type if "*" in wish.media else wish.media
    if ANY_SYNTAX in named:
        yield Choice(form, media_type, offer.transfer_syntaxes, stored_only=True)
        yield Choice(form, offers[0].media_type, (ANY_SYNTAX,))
        return
    for syntax in named:
        fitting = next((other for other in offers if syntax in other.transfer_syntaxes), offers[0])
        yield Choice(form, media_type if fitting is offer else fitting.media_type, (syntax,))


def _describe(offer: Offer, form: Form) -> str:
    if form is Form.SINGLE:
        return offer.media_type
    return f'multipart/related; type="{offer.media_type}"'
