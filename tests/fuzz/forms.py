"""Requests that bring metadata and bulk data apart, sound and damaged (PS3.18 section 10.5.1)."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from shared.dicom.errors import NotDicom
from shared.dicom.xml import render_xml
from tests.fuzz.damage import TAGS, VALUES, VRS, a_file
from tests.fuzz.seeds import random_uid
from tests.unit.dicom.making import json_of, read

Json = Any
"""Metadata that may have any shape once they are damaged."""

CHARACTERS: Final = 300
"""Of a value that is put into metadata."""


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of such a request."""

    headers: tuple[str, ...]
    content: bytes


@dataclass(frozen=True, slots=True)
class FormBody:
    """Metadata and the parts they refer to."""

    media_type: str
    parts: tuple[FormPart, ...]
    address: tuple[str, str, str] | None
    """Study, series and instance if every archive stores it."""

    def render(self, boundary: str) -> bytes:
        """The body of the request."""
        heads = ["\r\n".join((f"--{boundary}", *part.headers, "", "")).encode() for part in self.parts]
        pieces = (head + part.content + b"\r\n" for head, part in zip(heads, self.parts, strict=True))
        return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def a_form(random: Random) -> FormBody:
    """Metadata of a real or made-up instance, whose values and parts are damaged at times."""
    if random.random() < 0.3:
        return sound_form(random)
    dataset = with_references(random, _metadata(random))
    for _ in range(random.choice((0, 1, 1, 2, 5))):
        dataset = damage_json(random, dataset)
    in_xml = random.random() < 0.4
    document = _document(random, dataset, in_xml=in_xml)
    head = "application/dicom+xml" if in_xml else "application/dicom+json"
    syntax = random.choice(("", "", '; transfer-syntax="1.2.840.10008.1.2.4.50"', "; transfer-syntax=x"))
    parts = [FormPart((f"Content-Type: {head}{syntax}",), document), *_bulk_parts(random)]
    if random.random() < 0.2:
        random.shuffle(parts)
    return FormBody(head, tuple(parts), None)


def sound_form(random: Random) -> FormBody:
    """An image whose pixels come in a part of their own."""
    study, series, instance = (random_uid(random).decode() for _ in range(3))
    elements = {
        "00080016": ("UI", "1.2.840.10008.5.1.4.1.1.7"),
        "00080018": ("UI", instance),
        "00100010": ("PN", {"Alphabetic": "Doe^Jane"}),
        "00100020": ("LO", "P1"),
        "0020000D": ("UI", study),
        "0020000E": ("UI", series),
        "00280002": ("US", 1),
        "00280010": ("US", 2),
        "00280011": ("US", 2),
        "00280100": ("US", 8),
    }
    dataset: Json = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in elements.items()}
    dataset["7FE00010"] = {"vr": "OB", "BulkDataURI": "pixels"}
    in_xml = random.random() < 0.5
    head = "application/dicom+xml" if in_xml else "application/dicom+json"
    document = render_xml(dataset) if in_xml else json.dumps([dataset]).encode()
    pixels = FormPart(("Content-Type: application/octet-stream", "Content-Location: pixels"), bytes(4))
    parts = (FormPart((f"Content-Type: {head}",), document), pixels)
    return FormBody(head, parts, (study, series, instance))


def _metadata(random: Random) -> Json:
    """The metadata of a file that can be read."""
    while True:
        try:
            return json_of(read(a_file(random)))
        except NotDicom:
            continue


def with_references(random: Random, dataset: Json) -> Json:
    """The same with some values elsewhere, as clients send it."""
    made = {**dataset, "7FE00010": {"vr": "OW", "BulkDataURI": random.choice(_ADDRESSES)}}
    for tag in random.sample(sorted(made), min(2, len(made))):
        vr = random.choice(("OB", "OW", "UN", "UT", "LT", "FD", "SQ"))
        made[tag] = {"vr": vr, random.choice(("BulkDataURI", "BulkDataURI", "InlineBinary")): "bulk/1"}
    for tag in ("00080016", "00080018", "0020000D", "0020000E", "00100020"):
        made.setdefault(tag, {"vr": "UI", "Value": [random_uid(random).decode()]})
    return made


_ADDRESSES: Final = (
    "pixels",
    "/pixels",
    "bulk/1",
    "http://localhost/x",
    "../..",
    "",
    "%00",
    "cid:1",
    "x" * 3000,
)


def _bulk_parts(random: Random) -> Sequence[FormPart]:
    types = (
        "application/octet-stream",
        "image/jpeg",
        "image/jp2; transfer-syntax=*",
        "video/mp4",
        "text/plain",
        "",
    )
    parts = []
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        headers = [f"Content-Location: {random.choice(_ADDRESSES)}"] if random.random() < 0.9 else []
        kind = random.choice(types)
        content = random.choice((*VALUES, b"\xff\xd8\xff\xc0\0\x0b\x08" + bytes(9), random.randbytes(32)))
        parts.append(FormPart((*headers, f"Content-Type: {kind}") if kind else tuple(headers), content))
    return parts


def _document(random: Random, dataset: Json, *, in_xml: bool) -> bytes:
    """The metadata as text, damaged at times."""
    try:
        text = (
            render_xml(dataset)
            if in_xml
            else json.dumps(random.choice((dataset, [dataset], [dataset] * 2))).encode()
        )
    except (TypeError, ValueError, AttributeError, KeyError):
        # Damaged metadata may be nothing that can be spelt as XML.
        text = json.dumps(dataset).encode()
    return text if random.random() < 0.6 else _damage_text(random, text)


_SNIPPETS: Final = (
    b"[" * 5000,
    b'{"00100010":' * 200,
    b"1e999",
    b"NaN",
    b'"\\ud800"',
    b"\xff",
    b"\0",
    b"null",
    b"{}",
    b"[]",
    b'"vr":"SQ",',
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
    b"&a;",
    b"<Item>",
    b"</DicomAttribute>",
    b"<Value number='99999999'>",
    b'<DicomAttribute tag="00100010" vr="PN">' * 200,
    b"<?xml version='1.0' encoding='utf-7'?>",
    b"<![CDATA[",
    b"9" * 5000,
)


def _damage_text(random: Random, text: bytes) -> bytes:
    at = random.randrange(len(text) + 1)
    near = text.find(random.choice((b'"', b"<", b"{", b"[", b">")), at)
    at = near if near >= 0 else at
    snippet = random.choice((*_SNIPPETS, random.randbytes(1)))
    return text[:at] + snippet + text[at + random.choice((0, 0, 1, len(snippet))) :]


def damage_json(random: Random, dataset: Json) -> Json:
    """Change one place of a dataset, at any depth."""
    damaged = copy.deepcopy(dataset)
    place = damaged
    for _ in range(random.choice((1, 1, 2, 2, 3, 3, 4, 6))):
        inner = _inner(random, place)
        if not isinstance(inner, dict | list) or not inner:
            break
        place = inner
    _change(random, place)
    return damaged


def _inner(random: Random, place: Json) -> Json:
    values = list(place.values()) if isinstance(place, dict) else place
    return random.choice(values) if values else None


def _change(random: Random, place: Json) -> None:
    value = _some_json(random)
    if isinstance(place, list):
        place[random.randrange(len(place)) if place else 0 : 1] = [value]
        return
    keys = (
        "vr",
        "Value",
        "InlineBinary",
        "BulkDataURI",
        f"{random.choice(TAGS):08X}",
        "PatientName",
        "",
        "0010001",
    )
    key = random.choice((*keys, *place))
    if random.random() < 0.2:
        place.pop(key, None)
    else:
        place[key] = value


def _some_json(random: Random) -> Json:
    text = random.choice(VALUES)[:CHARACTERS].decode("latin-1")
    element = {"vr": random.choice(VRS), random.choice(("Value", "InlineBinary", "BulkDataURI")): [text]}
    deep: Json = element
    for _ in range(40):
        deep = {"00081140": {"vr": "SQ", "Value": [deep]}}
    return random.choice(
        (
            text,
            [text],
            text.encode("latin-1").hex(),
            random.choice(VRS),
            random.choice((0, -1, 65536, 2**64, 10**400, 1.5, 1e300, -0.0)),
            [1, "2", None, {}, []],
            None,
            True,
            {},
            [],
            element,
            {f"{random.choice(TAGS):08X}": element},
            [{f"{random.choice(TAGS):08x}": element}],
            {"Alphabetic": text, "Ideographic": None, "Phonetic": 1},
            "\ud800",
            deep,
        )
    )
