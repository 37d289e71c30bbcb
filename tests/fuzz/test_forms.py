"""Damaged metadata become a file that can be read, or are refused (PS3.18 section 10.5.1)."""

import time
from dataclasses import astuple
from random import Random
from typing import Final

from shared.dicom.build import Draft, Hole, JsonDataset, Piece, Unwritable, draft_of
from shared.dicom.errors import NotDicom
from shared.dicom.framing import file_head, value_head
from shared.dicom.json_reader import parse_json
from shared.dicom.uid import is_uid
from shared.dicom.xml_reader import parse_xml
from shared.errors import BadRequest
from tests.fuzz import cases
from tests.fuzz.claims import MAX_SECONDS, examine
from tests.fuzz.forms import FormBody, a_form
from tests.unit.dicom.making import read


def test_damaged_metadata_become_files_or_are_refused() -> None:
    """In JSON and XML, with places for bulk data and without."""

    def look(form: FormBody, random: Random) -> None:
        for part in form.parts[:1]:
            began = time.process_time()
            made = [_draft(dataset) for dataset in _parse(part.content, form.media_type)]
            assert time.process_time() - began < MAX_SECONDS
            for draft in filter(None, made):
                _check_draft(draft, random)

    cases.attempt(cases.share(15), cases.Kind("form", a_form, look, lambda form: form.render("b")))


def _parse(content: bytes, media_type: str) -> list[JsonDataset]:
    try:
        return [parse_xml(content)] if media_type.endswith("xml") else parse_json(content)
    except BadRequest:
        return []


def _draft(dataset: JsonDataset) -> Draft | None:
    try:
        return draft_of(dataset)
    except Unwritable:
        return None


def _check_draft(draft: Draft, random: Random) -> None:
    """With its holes filled it is a file that is read like any other."""
    syntax = draft.transfer_syntax or "1.2.840.10008.1.2.1"
    head = file_head(draft.identity.sop_class, draft.identity.instance, syntax)
    content = head + b"".join(map(_filled, draft.pieces))

    examine(content, random)
    try:
        file = read(content)
    except NotDicom as reason:
        raise AssertionError(f"what was written cannot be read: {reason}") from reason
    for tag, written, told in zip(_UID_TAGS, astuple(file.identity), astuple(draft.identity), strict=True):
        # Large bulk data are filed under what was told, before the file is read; what is no UID is refused.
        is_refused = file.attributes.get(tag, {"vr": ""})["vr"] != "UI" or not is_uid(written)
        assert written == told or is_refused, tag


def _filled(piece: Piece) -> bytes:
    return value_head(piece.tag, piece.vr, 4) + bytes(4) if isinstance(piece, Hole) else piece


_UID_TAGS: Final = ("0020000D", "0020000E", "00080018", "00080016")
