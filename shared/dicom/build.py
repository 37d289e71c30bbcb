"""Making a Part 10 file of a dataset in DICOM JSON, some of whose values come apart from it.

The file is explicit VR little endian, or, where the pixel data are compressed, in their transfer syntax,
which writes elements the same way. What comes apart leaves a hole in the file; a sequence around a hole has
no length, so that nothing written before has to wait for what fills it.

Source: PS3.18 annex F.2; PS3.10 section 7; PS3.5 section 7.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from string import hexdigits
from typing import Final

from shared.dicom import dictionary, plans
from shared.dicom.encode import (
    BINARY_VRS,
    VALUE_VRS,
    Encode,
    Unfit,
    decode_inline,
    encode_values,
    encoder_of,
    padded,
)
from shared.dicom.framing import (
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    frames_head,
    item_head,
    value_head,
    write_element,
)
from shared.dicom.metadata import JsonValue
from shared.dicom.part10 import Identity
from shared.dicom.uid import trim_uid

EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
NATIVE: Final = frozenset({"1.2.840.10008.1.2", EXPLICIT_LITTLE, "1.2.840.10008.1.2.1.99"})
"""Syntaxes whose pixel data are the same bytes as those of explicit VR little endian."""

MAX_DEPTH: Final = 30
"""Sequences within one another: one less than the reader of files takes, which has to take what is made."""

_BY_REFERENCE: Final = (BINARY_VRS | VALUE_VRS) - {"PN", "UR", "UI", "AT"}
_UTF_8: Final = "ISO_IR 192"
_CHARSET: Final = "00080005"
_TRANSFER_SYNTAX: Final = "00020010"
_AVAILABLE_SYNTAX: Final = "00083002"
_TWICE: Final = "The element comes twice, in upper and lower case."
# What describes the sender's file, not the object: how it was encapsulated, and in which syntax it is there.
_LEFT_OUT: Final = frozenset({plans.EXTENDED_OFFSET_TABLE, 0x7FE00002, 0x00083002})

JsonDataset = Mapping[str, Mapping[str, JsonValue]]


class Unwritable(Exception):
    """A dataset cannot be written; the message names the tag and goes to the sender."""

    def __init__(self, tag: int, reason: str) -> None:
        group, element = tag >> 16, tag & 0xFFFF
        super().__init__(f"DICOM100: ({group:04x},{element:04x}) - {reason}")


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a file for a value that comes apart from the dataset."""

    tag: int
    vr: str
    uri: str
    """The BulkDataURI, as it stands in the metadata."""

    is_top: bool
    """Whether the element belongs to the dataset itself, not to an item of a sequence."""

    @property
    def is_pixels(self) -> bool:
        """Whether it is for the frames of the instance, which may be compressed."""
        return self.is_top and self.tag == plans.PIXEL_DATA


Piece = bytes | Hole


@dataclass(frozen=True, slots=True)
class Draft:
    """A file but for its group 0002 and what fills the holes."""

    identity: Identity
    pieces: tuple[Piece, ...]
    """The dataset, in order."""

    transfer_syntax: str | None
    """The one the pixel data have, if they are among the pieces or absent."""

    named_syntax: str
    """The transfer syntax that the metadata name for the object, "" if none."""

    available_syntax: str
    """The one they say it was available in, "" if none."""

    number_of_frames: int
    """As declared; 1 where nothing sensible is."""

    native_bytes: int
    """Bytes of all frames together when they are not compressed; 0 where the dataset does not say."""

    @property
    def holes(self) -> tuple[Hole, ...]:
        """The places to be filled, in the order of the file."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Hole))


def draft_of(dataset: JsonDataset) -> Draft:
    """Write a dataset as far as that can be done without its bulk data.

    Raises:
        Unwritable: A value does not fit its VR, or something else is wrong with an element.
    """
    dataset = _in_upper_case(dataset)
    named, available = (_text_in(dataset, tag) for tag in (_TRANSFER_SYNTAX, _AVAILABLE_SYNTAX))
    try:
        pieces = _Writer(named, in_utf_8=False).write(dataset)
    except UnicodeError:
        pieces = _Writer(named, in_utf_8=True).write({**dataset, _CHARSET: {"vr": "CS", "Value": [_UTF_8]}})
    joined = tuple(_joined(pieces))
    by_part = any(isinstance(piece, Hole) and piece.is_pixels for piece in joined)
    inline = is_compressed(named) and "InlineBinary" in dataset.get(f"{plans.PIXEL_DATA:08X}", {})
    return Draft(
        identity=identity_of(dataset),
        pieces=joined,
        transfer_syntax=None if by_part else named if inline else EXPLICIT_LITTLE,
        named_syntax=named,
        available_syntax=available,
        number_of_frames=_number_in(dataset, plans.NUMBER_OF_FRAMES, 1),
        native_bytes=_native_bytes(dataset),
    )


def identity_of(dataset: JsonDataset) -> Identity:
    """The UIDs that a dataset names, "" where it has none."""
    dataset = {key.upper(): element for key, element in dataset.items()}
    study, series, instance, sop_class = (
        trim_uid(_text_in(dataset, f"{tag:08X}"))
        for tag in (plans.STUDY_INSTANCE, plans.SERIES_INSTANCE, plans.SOP_INSTANCE, plans.SOP_CLASS)
    )
    return Identity(study, series, instance, sop_class)


def is_compressed(transfer_syntax: str) -> bool:
    """Whether pixel data of this syntax are encapsulated."""
    return bool(transfer_syntax) and transfer_syntax not in NATIVE


class _Writer:
    """Writes one dataset."""

    def __init__(self, named_syntax: str, *, in_utf_8: bool) -> None:
        self._named_syntax = named_syntax
        self._in_utf_8 = in_utf_8

    def write(self, dataset: JsonDataset) -> list[Piece]:
        """The pieces of the whole dataset.

        Raises:
            Unwritable: Something is wrong with an element.
            UnicodeError: The character set does not hold all text.
        """
        return self._dataset(dataset, lambda text: text.encode("ascii"), depth=0)

    def _dataset(self, dataset: JsonDataset, encode: Encode, *, depth: int) -> list[Piece]:
        elements = _elements(dataset)
        encode = self._encoder(dataset, encode)
        found: list[Piece] = []
        for tag, element in elements:
            vr = _vr_of(tag, element, dataset)
            if not depth and tag in _LEFT_OUT:
                continue
            if vr == "SQ":
                found += self._sequence(tag, element, encode, depth=depth + 1)
            elif "BulkDataURI" in element:
                found.append(_hole(tag, vr, element, is_top=not depth))
            elif not depth and tag == plans.PIXEL_DATA and is_compressed(self._named_syntax):
                found += _inline_frames(tag, element)
            else:
                found.append(self._plain(tag, vr, element, encode))
        return found

    def _encoder(self, dataset: JsonDataset, inherited: Encode) -> Encode:
        if self._in_utf_8:
            return str.encode
        if _CHARSET not in dataset:
            return inherited
        names = _values(plans.SPECIFIC_CHARACTER_SET, dataset[_CHARSET])
        found = encoder_of([name if isinstance(name, str) else "" for name in names])
        if found is None:
            raise UnicodeError("Nothing is known of this character set.")
        return found

    def _plain(self, tag: int, vr: str, element: Mapping[str, JsonValue], encode: Encode) -> bytes:
        if self._in_utf_8 and tag == plans.SPECIFIC_CHARACTER_SET:
            element = {"Value": [_UTF_8]}
        try:
            if "InlineBinary" in element:
                return write_element(tag, vr, padded(vr, decode_inline(element["InlineBinary"])))
            if vr in BINARY_VRS and element.get("Value"):
                raise Unfit("The element must have an InlineBinary or a BulkDataURI.")
            return write_element(tag, vr, encode_values(vr, _values(tag, element), encode))
        except Unfit as error:
            raise Unwritable(tag, str(error)) from error
        except UnicodeError as error:
            # Half a surrogate pair, which JSON can spell, is no character.
            if not self._in_utf_8:
                raise
            raise Unwritable(tag, "Value holds what is no character.") from error

    def _sequence(
        self, tag: int, element: Mapping[str, JsonValue], encode: Encode, *, depth: int
    ) -> list[Piece]:
        if depth > MAX_DEPTH:
            raise Unwritable(tag, f"Sequences are nested more than {MAX_DEPTH} deep.")
        if element.keys() & {"BulkDataURI", "InlineBinary"}:
            raise Unwritable(tag, "A sequence must have its items as values.")
        items: list[Piece] = []
        for value in _values(tag, element):
            item = {} if value is None else value
            if not isinstance(item, dict):
                raise Unwritable(tag, "An item of the sequence is no dataset.")
            items += _item(list(_joined(self._dataset(_as_dataset(tag, item), encode, depth=depth))))
        return _enclosed(tag, items)


def _elements(dataset: JsonDataset) -> list[tuple[int, Mapping[str, JsonValue]]]:
    """The elements of a dataset in order, without group lengths and group 0002."""
    found: dict[int, Mapping[str, JsonValue]] = {}
    for key, element in dataset.items():
        tag = _tag_of(key)
        if not tag or tag >> 16 in (0, 0xFFFE, 0xFFFF) or not isinstance(element, dict):
            raise Unwritable(tag, "The metadata hold something that is no element.")
        if tag in found:
            raise Unwritable(tag, _TWICE)
        if tag & 0xFFFF and tag >> 16 != 2:
            found[tag] = element
    return sorted(found.items())


def _in_upper_case(dataset: JsonDataset) -> JsonDataset:
    found: dict[str, Mapping[str, JsonValue]] = {}
    for key, element in dataset.items():
        if found.setdefault(key.upper(), element) is not element:
            raise Unwritable(_tag_of(key), _TWICE)
    return found


def _tag_of(key: str) -> int:
    """The tag that a key spells, 0 if it spells none."""
    return int(key, 16) if len(key) == 8 and all(character in hexdigits for character in key) else 0


def _vr_of(tag: int, element: Mapping[str, JsonValue], dataset: JsonDataset) -> str:
    vr = element.get("vr")
    if vr is None:
        entry = dictionary.entry_of(tag)
        vr = _settled(entry.vr, dataset) if entry else "LO" if _is_creator(tag) else "UN"
    if not isinstance(vr, str) or not (vr == "SQ" or vr in BINARY_VRS or vr in VALUE_VRS):
        raise Unwritable(tag, "The element has no known VR.")
    return vr


def _settled(vr: str, dataset: JsonDataset) -> str:
    """One VR of a choice, as the dataset implies it."""
    if "OW" in vr:
        return "OW"
    if vr == "US or SS":
        return "SS" if _text_in(dataset, "00280103") == "1" else "US"
    return vr


def _is_creator(tag: int) -> bool:
    return plans.is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


def _hole(tag: int, vr: str, element: Mapping[str, JsonValue], *, is_top: bool) -> Hole:
    uri = element["BulkDataURI"]
    if not isinstance(uri, str) or not uri.strip() or vr not in _BY_REFERENCE:
        raise Unwritable(tag, "The element cannot have this BulkDataURI.")
    return Hole(tag, vr, uri.strip(), is_top)


def _inline_frames(tag: int, element: Mapping[str, JsonValue]) -> list[Piece]:
    """Compressed pixel data within the metadata: one frame."""
    if "InlineBinary" not in element:
        raise Unwritable(tag, "The element must have an InlineBinary or a BulkDataURI.")
    try:
        frame = padded("OB", decode_inline(element["InlineBinary"]))
    except Unfit as error:
        raise Unwritable(tag, str(error)) from error
    return [frames_head(tag, [len(frame)]) + item_head(len(frame)) + frame + SEQUENCE_END]


def _values(tag: int, element: Mapping[str, JsonValue]) -> list[JsonValue]:
    values = element.get("Value")
    if values is None:
        return []
    if not isinstance(values, list):
        raise Unwritable(tag, "The element's Value is no list.")
    return values


def _as_dataset(tag: int, item: Mapping[str, JsonValue]) -> JsonDataset:
    found: dict[str, Mapping[str, JsonValue]] = {}
    for key, element in item.items():
        if not isinstance(element, dict):
            raise Unwritable(tag, "An item of the sequence holds something that is no element.")
        found[key] = element
    return found


def _text_in(dataset: JsonDataset, key: str) -> str:
    """The first value of an element as text, "" where there is none."""
    element = dataset.get(key)
    # Where the value comes apart, or in binary, that is what the file will have.
    is_plain = isinstance(element, dict) and not element.keys() & {"BulkDataURI", "InlineBinary"}
    values = element.get("Value") if is_plain and element else None
    value = values[0] if isinstance(values, list) and values else None
    return str(value).strip("\0 ") if isinstance(value, str | int) else ""


def _number_in(dataset: JsonDataset, tag: int, least: int) -> int:
    text = _text_in(dataset, f"{tag:08X}")
    return max(least, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else least


def _native_bytes(dataset: JsonDataset) -> int:
    each = [_number_in(dataset, tag, 0) for tag in (plans.ROWS, plans.COLUMNS, plans.BITS_ALLOCATED)]
    several = [_number_in(dataset, tag, 1) for tag in (plans.SAMPLES_PER_PIXEL, plans.NUMBER_OF_FRAMES)]
    bits = prod(each) * prod(several)
    colours = _text_in(dataset, f"{plans.PHOTOMETRIC_INTERPRETATION:08X}")
    # Two or four pixels share their chroma samples (PS3.3 section C.7.6.3.1.2).
    if several[0] == 3 and colours in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        bits = bits * 2 // 3
    if several[0] == 3 and colours == "YBR_PARTIAL_420":
        bits //= 2
    return bits // 8


def _item(pieces: list[Piece]) -> list[Piece]:
    length = _length(pieces)
    if length is None:
        return [item_head(UNDEFINED), *pieces, ITEM_END]
    return [item_head(length), *pieces]


def _enclosed(tag: int, items: list[Piece]) -> list[Piece]:
    length = _length(items)
    if length is None:
        return [value_head(tag, "SQ", UNDEFINED), *items, SEQUENCE_END]
    return [value_head(tag, "SQ", length), *items]


def _length(pieces: Sequence[Piece]) -> int | None:
    """Bytes of pieces together; None where a hole leaves that open."""
    sizes = [len(piece) for piece in pieces if not isinstance(piece, Hole)]
    return sum(sizes) if len(sizes) == len(pieces) else None


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The same with everything between two holes in one piece."""
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Hole):
            if run:
                yield b"".join(run)
            run = []
            yield piece
        else:
            run.append(piece)
    if run:
        yield b"".join(run)
