"""Multipart/related bodies: read as they arrive, written the same way every time.

The reader is our own because the parser in `python-multipart`, made for HTML forms, refuses what senders of
DICOM may send: a preamble, blanks after a delimiter, header lines that end in LF alone. Nor does it notice a
body that was cut short. Here the payload is searched with `bytes.find` and handed on as views of the chunks
that came in, so it is neither copied nor looked at byte by byte.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from shared.errors import BadRequest, TooLarge, UnsupportedMediaType
from shared.web.media import parse_media_type

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"

MAX_BOUNDARY_BYTES = 256
"""RFC 2046 allows 70 characters; Orthanc sends 73."""

MAX_PREAMBLE_BYTES = 8 * 1024
MAX_PART_HEADER_BYTES = 8 * 1024
MAX_PARTS = 10_000

_MAX_PADDING = 64
_AFTER_DELIMITER = re.compile(rb"--|[ \t]{0,%d}\r?\n" % _MAX_PADDING)
_AFTER_DELIMITER_BEGUN = re.compile(rb"-|[ \t]{0,%d}\r?" % _MAX_PADDING)
_END_OF_HEADERS = re.compile(rb"\n\r?\n")
_NO_HEADERS = re.compile(rb"\r?\n")


class PartKind(Enum):
    """What a part of a store request is."""

    FILE = auto()
    """A Part 10 file."""

    JSON = auto()
    """Metadata as DICOM JSON."""

    XML = auto()
    """Metadata as a Native DICOM Model."""

    BULK = auto()
    """A value that metadata refer to."""


# dcm4che's stowrs calls its metadata plain JSON.
_METADATA = {DICOM_JSON: PartKind.JSON, "application/json": PartKind.JSON, DICOM_XML: PartKind.XML}


@dataclass(frozen=True, slots=True)
class Single:
    """The whole body is one Part 10 file."""


@dataclass(frozen=True, slots=True)
class Multipart:
    """The body is multipart/related."""

    boundary: str
    """The boundary as it stands in the body, without the leading dashes."""

    type: str | None
    """The media type of parts that state none, if the header names it."""

    kind: PartKind = PartKind.FILE
    """What its parts are; of metadata, those that come first."""


def read_store_content_type(header: str | None) -> Single | Multipart:
    """Decide how the body of a store request is to be read.

    Raises:
        UnsupportedMediaType: It is neither a DICOM file nor a multipart of files, or of metadata and bulk
            data, or no boundary is named.
        BadRequest: The multipart names a `start` part, or its boundary is too long.

    Source: API rules section 3.1; PS3.18 section 10.5.1.
    """
    media = parse_media_type(header or "")
    if media is not None and media.name == DICOM:
        return Single()
    if media is None or media.name != "multipart/related":
        raise UnsupportedMediaType(
            'The Content-Type must be application/dicom or multipart/related; type="application/dicom", '
            "application/dicom+json or application/dicom+xml."
        )
    if media.get("start") is not None:
        raise BadRequest("The 'start' parameter of multipart/related is not supported.")
    boundary = media.get("boundary")
    if not boundary:
        raise UnsupportedMediaType("The Content-Type multipart/related must name a boundary.")
    if len(boundary) > MAX_BOUNDARY_BYTES or not boundary.isascii():
        raise BadRequest(f"The boundary must be ASCII and not above {MAX_BOUNDARY_BYTES} characters.")
    kind = media.get("type")
    return Multipart(boundary, kind, _kind_of_all(kind))


def _kind_of_all(kind: str | None) -> PartKind:
    if kind is None or _is_dicom(kind):
        return PartKind.FILE
    found = _METADATA.get(_name(kind))
    if found is None:
        raise UnsupportedMediaType(
            "The 'type' of multipart/related must be application/dicom, application/dicom+json or "
            "application/dicom+xml."
        )
    return found


def kind_of_part(headers: Mapping[str, str], envelope: Multipart) -> PartKind:
    """Tell what a part of a store request is, by its own header or else by the envelope's.

    Raises:
        UnsupportedMediaType: It does not belong into such a request, which is refused as a whole.

    Source: API rules section 3.1; PS3.18 section 8.6.1.2.
    """
    if envelope.kind is PartKind.FILE:
        require_dicom(headers, envelope)
        return PartKind.FILE
    text = headers.get("content-type")
    if text is None:
        return PartKind.BULK if "content-location" in headers else envelope.kind
    name = _name(text)
    if not name or name == DICOM or _METADATA.get(name, envelope.kind) is not envelope.kind:
        raise UnsupportedMediaType("Each part must be metadata of the type that 'type' names, or bulk data.")
    return _METADATA.get(name, PartKind.BULK)


def require_dicom(headers: Mapping[str, str], envelope: Multipart) -> None:
    """Check that a part of a store request is a DICOM file, by its own header or else by the envelope's.

    Raises:
        UnsupportedMediaType: It is something else, or nothing says what it is; the whole request is refused.

    Source: API rules section 3.1.
    """
    if not _is_dicom(headers.get("content-type") or envelope.type or ""):
        raise UnsupportedMediaType("Each part must be application/dicom, by its Content-Type or by 'type'.")


def _is_dicom(text: str) -> bool:
    return _name(text) == DICOM


def _name(text: str) -> str:
    media = parse_media_type(text)
    return media.name if media else ""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part starts here."""

    headers: Mapping[str, str]
    """Its headers, names in lower case; of a doubled header the first."""

    kind: PartKind = PartKind.FILE
    base: str = ""
    """What relative addresses in it, and its own, are relative to; "" if nothing is known."""


@dataclass(frozen=True, slots=True)
class PartBytes:
    """The next bytes of the part's payload, at least one."""

    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartBytes | PartEnd


class MultipartReader:
    """Takes a multipart body apart while it arrives.

    A delimiter counts only at the start of a line and when nothing but blanks follows it, so the boundary's
    text may occur in a payload. The first delimiter line tells how the sender ends its lines: only one that
    ends in a bare LF lets a bare LF stand before the later delimiters, so a payload never loses a byte
    to a guess. A part with neither headers nor payload is none: .NET writes one when it has nothing to send.
    """

    def __init__(self, boundary: str) -> None:
        """Prepare to read a body whose parts are set apart by `boundary`."""
        self._dashes = b"--" + boundary.encode()
        self._delimiter = b"\r\n" + self._dashes
        self._held = b""
        self._step: _Step = self._read_preamble
        self._headers: dict[str, str] | None = None
        self._delimiters = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the body, cut anywhere, and tell what they complete.

        Raises:
            BadRequest: The framing is malformed.
            TooLarge: There are more than `MAX_PARTS` parts.
        """
        data = self._held + chunk if self._held else chunk
        events: list[Event] = []
        position, before = 0, None
        while before != (self._step, position):
            before = (self._step, position)
            position = self._step(data, position, events)
        self._held = data[position:]
        return events

    def finish(self) -> None:
        """Check, after the last byte, that the body was complete.

        Raises:
            BadRequest: There was no closing delimiter.
        """
        if self._step != self._skip_epilogue:
            raise BadRequest("The multipart body ends before its closing delimiter.")

    # Each step takes what it can from `data` at `position` and returns the position it got to. It leaves
    # the rest in place when it cannot decide without the bytes that follow.

    def _read_preamble(self, data: bytes, position: int, _events: list[Event]) -> int:
        start = 0 if data.startswith(self._dashes) else data.find(b"\n" + self._dashes) + 1
        tail = None
        if start or data.startswith(self._dashes):
            after = start + len(self._dashes)
            tail = _AFTER_DELIMITER.match(data, after)
            if tail is None and not _AFTER_DELIMITER_BEGUN.fullmatch(data, after):
                raise BadRequest("The first delimiter of the multipart body is malformed.")
        if (tail.end() if tail else len(data)) > MAX_PREAMBLE_BYTES:
            raise BadRequest(f"No delimiter stands in the first {MAX_PREAMBLE_BYTES} bytes of the body.")
        if tail is None:
            return position
        if tail[0].endswith(b"\n") and not tail[0].endswith(b"\r\n"):
            self._delimiter = b"\n" + self._dashes
        return self._pass_delimiter(tail)

    def _read_headers(self, data: bytes, position: int, events: list[Event]) -> int:
        if data.startswith(self._dashes, position):
            return self._start_payload({}, position, events)
        end = _NO_HEADERS.match(data, position) or _END_OF_HEADERS.search(data, position)
        if (end.end() if end else len(data)) - position > MAX_PART_HEADER_BYTES:
            raise BadRequest(f"The headers of a part are longer than {MAX_PART_HEADER_BYTES} bytes.")
        if end is None:
            return position
        return self._start_payload(_parse_headers(data[position : end.start()]), end.end(), events)

    def _start_payload(self, headers: dict[str, str], position: int, events: list[Event]) -> int:
        self._headers = headers
        if headers:
            self._begin_part(events)
        self._step = self._read_start
        return position

    def _read_start(self, data: bytes, position: int, events: list[Event]) -> int:
        # An empty part's blank line may serve as the line end of the delimiter too (RFC 2046, body-part).
        after = position + len(self._dashes)
        if data.startswith(self._dashes, position):
            tail = _AFTER_DELIMITER.match(data, after)
            if tail is not None:
                return self._end_part(tail, events)
            if _AFTER_DELIMITER_BEGUN.fullmatch(data, after):
                return position
        elif self._dashes.startswith(data[position:after]):
            return position
        self._step = self._read_payload
        return position

    def _read_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        at = data.find(self._delimiter, position)
        while at >= 0:
            after = at + len(self._delimiter)
            tail = _AFTER_DELIMITER.match(data, after)
            if tail is not None:
                self._take(data, position, at, events)
                return self._end_part(tail, events)
            if _AFTER_DELIMITER_BEGUN.fullmatch(data, after):
                break
            at = data.find(self._delimiter, after)
        if at < 0:
            at = self._delimiter_begun(data, position)
        self._take(data, position, at, events)
        return at

    def _skip_epilogue(self, data: bytes, _position: int, _events: list[Event]) -> int:
        return len(data)

    def _delimiter_begun(self, data: bytes, position: int) -> int:
        """Tell where a delimiter may have begun that the next chunk completes; else the end of `data`."""
        # A line end opens the delimiter and occurs nowhere else in it, so only the last one can be its start.
        at = data.rfind(self._delimiter[:1], max(position, len(data) - len(self._delimiter) + 1))
        return at if at >= 0 and self._delimiter.startswith(data[at:]) else len(data)

    def _take(self, data: bytes, start: int, end: int, events: list[Event]) -> None:
        if start == end:
            return
        self._begin_part(events)
        whole = start == 0 and end == len(data)
        events.append(PartBytes(data if whole else memoryview(data)[start:end]))

    def _begin_part(self, events: list[Event]) -> None:
        if self._headers is None:
            return
        events.append(PartBegin(self._headers))
        self._headers = None

    def _end_part(self, tail: re.Match[bytes], events: list[Event]) -> int:
        if self._headers is None:
            events.append(PartEnd())
        self._headers = None
        return self._pass_delimiter(tail)

    def _pass_delimiter(self, tail: re.Match[bytes]) -> int:
        self._step = self._skip_epilogue if tail[0] == b"--" else self._read_headers
        self._delimiters += 1
        # The closing delimiter begins no part.
        if self._delimiters > MAX_PARTS + 1:
            raise TooLarge(f"One request may have {MAX_PARTS} parts at most; send several requests.")
        return tail.end()


_Step = Callable[[bytes, int, list[Event]], int]


def _parse_headers(block: bytes) -> dict[str, str]:
    unfolded = re.sub(rb"\r?\n[ \t]+", b" ", block).decode("latin-1")
    headers: dict[str, str] = {}
    for line in unfolded.split("\n") if unfolded else []:
        name, colon, value = line.partition(":")
        if not (colon and name.strip()):
            raise BadRequest("A header line of a part has no name.")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers


def boundary_for(*identity: str) -> str:
    """Make the boundary of an answer from what identifies its bytes: resource, ETag, transfer syntax.

    The same identity always gives the same boundary, so that ranges, ETags and caches fit the body. It is
    plain lower-case hex, which needs no quotes: Google's dcmweb can read nothing else.

    Source: clients section 4.2.
    """
    # 128 bits of a hash do not occur in a payload by chance, so no payload is searched for them.
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:32]


def multipart_type(media_type: str, boundary: str) -> str:
    """Render the Content-Type of a multipart answer: `type` is quoted for .NET and stands first."""
    return f'multipart/related; type="{media_type}"; boundary={boundary}'


def part_type(media_type: str, transfer_syntax: str) -> str:
    """Render the Content-Type of a part, or of a single-part answer."""
    return f"{media_type}; transfer-syntax={transfer_syntax}"


def part_head(
    boundary: str, content_type: str, *, first: bool, location: str | None = None, length: int | None = None
) -> bytes:
    """Write the delimiter and the headers that go before a part's payload.

    Args:
        boundary: From `boundary_for`.
        content_type: From `part_type`. Its line comes first, spelt so: Cornerstone3D knows no other.
        first: Whether it is the first part of the body; nothing stands before it, not even a line end.
        location: Content-Location of the part.
        length: Bytes of payload, for the part's Content-Length.

    Source: clients sections 3.5 and 4.2.
    """
    lines = [f"--{boundary}", f"Content-Type: {content_type}"]
    if location is not None:
        lines.append(f"Content-Location: {location}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += ["", ""]
    return (b"" if first else b"\r\n") + "\r\n".join(lines).encode("ascii")


def closing(boundary: str) -> bytes:
    """Write what goes after the payload of the last part."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def total_length(boundary: str, parts: Iterable[tuple[bytes, int]]) -> int:
    """Count the bytes of a whole multipart body, from the head and the payload length of each part."""
    return sum(len(head) + length for head, length in parts) + len(closing(boundary))
