"""Metadata and bulk data that come apart from each other.

Source: PS3.18 sections 8.6.1.2, 8.7.3 and 10.5; clients sections 2.9 and 3.5, checklist 51.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom import config, dcmread
from pydicom.filereader import read_file_meta_info

from local.dev import azurite
from local.dev.service import Service
from shared.dicom.xml import render_xml
from shared.stow.forms import MAX_HOLES
from tests.archive import ANY_FRAME, JSON, Archive, comments, failures, parts_of, relative, stored, values
from tests.conformance.test_large import ALLOWED_BYTES, Host, warm_up
from tests.factories import (
    EXPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
    new_uid,
)
from tests.forms import AS_JSON, AS_XML, OCTETS, XML, Apart, Bulk, body_of, take_apart

AS_STORED = "application/dicom; transfer-syntax=*"
PYDICOM = Path(pydicom.__file__).parent / "data"
COLLECTION = Path(__file__).resolve().parents[3] / "shared" / "data"


def post_json(archive: Archive, *apart: Apart, path: str = "studies") -> httpx.Response:
    """Store instances as one list of metadata and their bulk data."""
    metadata = json.dumps([each.metadata for each in apart]).encode()
    bulk = [bulk for each in apart for bulk in each.bulk]
    return archive.post(body_of(metadata, bulk), AS_JSON, path)


def post_xml(archive: Archive, *apart: Apart) -> httpx.Response:
    """Store instances as a document each, and their bulk data."""
    documents = [render_xml(each.metadata) for each in apart]
    return archive.post(body_of(documents, [bulk for each in apart for bulk in each.bulk], XML), AS_XML)


def file_of(archive: Archive, instance: Instance) -> pydicom.FileDataset:
    """The file as it is stored."""
    return dcmread(io.BytesIO(archive.get(instance.path, AS_STORED).content))


def frames_of(archive: Archive, instance: Instance, numbers: str) -> list[bytes]:
    """Frames as they are stored."""
    return [part.content for part in parts_of(archive.get(f"{instance.path}/frames/{numbers}", ANY_FRAME))]


@pytest.mark.parametrize("post", [post_json, post_xml])
def test_an_image_comes_back_as_from_a_file(archive: Archive, post: Any) -> None:
    """Checklist 51: the same dataset, and the same pixels."""
    image = make_image(3, rows=5, columns=7)

    answer = post(archive, take_apart(image.content))

    assert answer.status_code == 200, answer.text
    assert stored(answer) == [image.instance]
    assert frames_of(archive, image, "1,2,3") == list(image.frames)
    file = file_of(archive, image)
    assert file.file_meta.TransferSyntaxUID == EXPLICIT
    assert file == dcmread(io.BytesIO(image.content))


def real_files() -> list[object]:
    """Real files, as parameters: pydicom's own, two of each syntax; the collection where it is there."""
    found: dict[str, list[Path]] = {"charset_files": sorted((PYDICOM / "charset_files").rglob("*.dcm"))}
    by_syntax: dict[str, list[Path]] = {}
    for path in sorted((PYDICOM / "test_files").rglob("*.dcm")):
        if path.read_bytes()[128:132] == b"DICM":
            by_syntax.setdefault(read_file_meta_info(path).get("TransferSyntaxUID", ""), []).append(path)
    found["test_files"] = [path for paths in by_syntax.values() for path in paths[:2]]
    for name in ("encapsulation", "multiframe"):
        found[name] = sorted((COLLECTION / name).rglob("*.dcm"))
    return [pytest.param(paths, id=name) for name, paths in found.items() if paths]


# Elements that are written otherwise than in the file, by the end of the file's name: a character set that is
# spelt wrongly is written as Unicode, and a decimal string longer than allowed is cut.
UNLIKE = {
    "IM00001.fragmented_no_bot_jpeg_baseline.50.dcm": "00080005",
    "IM00001.implicit_little_endian.dcm": "00080005",
}

REWRITTEN = {"00083002", "7FE00001", "7FE00002", "7FE00010"}
"""What a file made of parts has anew: native pixels are in explicit VR little endian, compressed ones have VR
OB, and offset tables are their own. The frames are compared."""


# pydicom remarks on every oddity of these files.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("paths", real_files())
def test_real_files_become_the_same_as_when_sent_whole(
    service: Service, http: httpx.Client, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checklist 51: metadata and frames."""
    monkeypatch.setattr(config, "replace_un_with_known_vr", False)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)
    compared = 0
    for path in paths:
        whole, apart = (Archive.fresh(http, service.url) for _ in range(2))
        content = path.read_bytes()
        if not stored_any(whole.post(content, "application/dicom")):
            continue
        answer = post_json(apart, take_apart(content))
        assert stored_any(answer), (path, answer.text)
        assert_same(whole, apart, dcmread(io.BytesIO(content), force=True), path.name)
        compared += 1
    assert compared > len(paths) // 3


def stored_any(answer: httpx.Response) -> bool:
    """Whether an instance was stored."""
    return answer.status_code in (200, 202) and bool(stored(answer))


def assert_same(whole: Archive, apart: Archive, dataset: pydicom.Dataset, name: str) -> None:
    """Two archives give the same metadata and frames of an instance."""
    series = f"studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    path = f"{series}/instances/{dataset.SOPInstanceUID}"
    one, other = (relative(each.metadata(path)[0]) for each in (whole, apart))
    unlike = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    assert not unlike - REWRITTEN - {UNLIKE.get(name.rpartition("__")[2])}, (name, unlike)
    if "PixelData" not in dataset:
        return
    numbers = ",".join(map(str, range(1, min(int(dataset.get("NumberOfFrames") or 1), 50) + 1)))
    frames, others = (each.get(f"{path}/frames/{numbers}", ANY_FRAME) for each in (whole, apart))
    assert frames.status_code == others.status_code, name
    if frames.status_code == 200:
        # Some files have frames of odd length, which the standard does not allow.
        expected = [part.content + b"\0" * (len(part.content) % 2) for part in parts_of(frames)]
        assert [part.content + b"\0" * (len(part.content) % 2) for part in parts_of(others)] == expected, name


def test_several_instances_may_come_in_one_list(archive: Archive) -> None:
    """Clients section 3.5 item 5; what is wrong with one does not concern the others."""
    images = [make_image() for _ in range(3)]
    apart = [take_apart(image.content, prefix=f"{number}/") for number, image in enumerate(images)]
    del apart[1].metadata["00080018"]

    answer = post_json(archive, *apart)

    assert answer.status_code == 202
    assert stored(answer) == [images[0].instance, images[2].instance]
    assert failures(answer) == [43264]
    assert frames_of(archive, images[2], "1") == list(images[2].frames)


def test_metadata_alone_are_an_instance(archive: Archive) -> None:
    """Such as a report."""
    report = make(PatientName="Doe^Jane")

    answer = post_xml(archive, take_apart(report.content))

    assert stored(answer) == [report.instance]
    assert file_of(archive, report) == dcmread(io.BytesIO(report.content))


def test_the_study_in_the_path_is_checked(archive: Archive) -> None:
    """API rules section 3.3, check 3."""
    image = make_image()

    answer = post_json(archive, take_apart(image.content), path=f"studies/{new_uid()}")

    assert answer.status_code == 409
    assert failures(answer) == [43264]


def test_a_duplicate_is_refused(archive: Archive) -> None:
    """API rules section 3.8."""
    image = make_image()
    archive.keep(image)

    assert failures(post_json(archive, take_apart(image.content))) == [45070]


JPEG = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda"
LOSSLESS = (
    b"\xff\xd8\xff\xc3\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00"
)


@pytest.mark.parametrize(
    ("media_type", "beginning", "syntax"),
    [
        (f"image/jpeg; transfer-syntax={JPEG_BASELINE}", b"", JPEG_BASELINE),
        (f'image/dicom+jpeg;transfer-syntax="{JPEG_BASELINE}"', b"", JPEG_BASELINE),
        ("image/jpeg", JPEG, JPEG_BASELINE),
        ("image/jpeg", LOSSLESS, "1.2.840.10008.1.2.4.70"),
        ("image/jpeg", b"nothing that tells", "1.2.840.10008.1.2.4.70"),
        ("image/jls", b"", "1.2.840.10008.1.2.4.80"),
        ("image/jp2", b"", JPEG_2000),
        ("image/jphc", b"", "1.2.840.10008.1.2.4.201"),
        ("image/dicom-rle", b"", "1.2.840.10008.1.2.5"),
        (f"{OCTETS}; transfer-syntax={JPEG_2000}", b"", JPEG_2000),
    ],
)
def test_frames_are_stored_in_the_syntax_of_their_parts(
    archive: Archive, media_type: str, beginning: bytes, syntax: str
) -> None:
    """PS3.18 table 8.7.3-5, section 8.7.3.3.2: one part a frame, whose own word counts most."""
    frames = [beginning + bytes([number]) * (100 + number) for number in range(5)]
    image = make_encapsulated([frame + b"\0" * (len(frame) % 2) for frame in frames], transfer_syntax=syntax)
    apart = take_apart(image.content)
    apart.bulk = [Bulk(apart.bulk[0].address, media_type, frame) for frame in frames]

    assert stored(post_json(archive, apart)) == [image.instance]

    file = file_of(archive, image)
    assert file.file_meta.TransferSyntaxUID == syntax
    assert file.PixelData == dcmread(io.BytesIO(image.content)).PixelData
    assert frames_of(archive, image, "5,1") == [image.frames[4], image.frames[0]]


@pytest.mark.parametrize("key", ["00020010", "00083002"])
def test_the_metadata_may_name_the_syntax(archive: Archive, key: str) -> None:
    """Group 0002 and Available Transfer Syntax UID, where a part says no more than its media type."""
    image = make_encapsulated([b"ab", b"cd"], transfer_syntax="1.2.840.10008.1.2.4.81")
    apart = take_apart(image.content)
    apart.metadata[key] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.81"]}
    apart.bulk = [replace(bulk, media_type="image/jls") for bulk in apart.bulk]

    post_json(archive, apart)

    file = file_of(archive, image)
    assert file.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.81"
    assert 0x00083002 not in file


def test_a_video_is_one_part_of_many_frames(archive: Archive) -> None:
    """PS3.18 section 8.7.3.3.2."""
    video = make_encapsulated(
        [b"all frames in one stream"], transfer_syntax="1.2.840.10008.1.2.4.102", NumberOfFrames=30
    )
    apart = take_apart(video.content)
    apart.metadata["00280008"] = {"vr": "IS", "Value": [30]}
    apart.bulk = [replace(bulk, media_type="video/mp4") for bulk in apart.bulk]

    assert stored(post_json(archive, apart)) == [video.instance]
    assert file_of(archive, video).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert frames_of(archive, video, "1") == list(video.frames)


def test_big_endian_pixels_are_refused(archive: Archive) -> None:
    """They would have to be turned round."""
    apart = take_apart(make_image().content)
    apart.bulk = [
        replace(bulk, media_type=f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.2") for bulk in apart.bulk
    ]

    answer = post_json(archive, apart)

    assert failures(answer) == [43264]
    assert "(7fe0,0010)" in comments(values(answer.json(), "00081198")[0])[0]


@pytest.mark.parametrize(
    ("uri", "location", "base"),
    [
        ("bulk0", "bulk0", ""),
        ("/bulk0", "bulk0", ""),
        ("./bulk0", "bulk0", ""),
        ("bulk0", "/bulk0", ""),
        ("bulk0", "{root}/bulk0", ""),
        ("{root}/bulk0", "bulk0", ""),
        ("http://elsewhere/a?b=c#d", "http://elsewhere/a?b=c#d", ""),
        ("urn:uuid:8e6d", "urn:uuid:8e6d", ""),
        ("http://[broken", "http://[broken", "http://[too"),
        ("http://elsewhere/a/b", "b", "http://elsewhere/a/"),
        ("http://elsewhere/x/b", "/x/b", "http://elsewhere/a/"),
    ],
)
def test_a_part_is_found_by_its_address(archive: Archive, uri: str, location: str, base: str) -> None:
    """PS3.18 section 8.6.1.2, clients section 3.5 item 5: absolute or relative."""
    image = make_image()
    apart = take_apart(image.content)
    apart.metadata["7FE00010"]["BulkDataURI"] = uri.format(root=archive.root)
    bulk = [replace(apart.bulk[0], address=location.format(root=archive.root))]
    headers = {"Content-Type": AS_JSON, **({"Content-Base": base} if base else {})}

    content = body_of(json.dumps([apart.metadata]).encode(), bulk)
    answer = archive.ask("POST", "studies", JSON, content=content, headers=headers)

    assert stored(answer) == [image.instance], answer.text


def test_a_value_without_its_part_fails_the_instance_only(archive: Archive) -> None:
    """43264, with a comment that names the tag."""
    whole, lacking = make_image(), make_image()
    apart = take_apart(lacking.content, prefix="other")
    apart.bulk = []

    answer = post_json(archive, take_apart(whole.content), apart)

    assert answer.status_code == 202
    assert stored(answer) == [whole.instance]
    assert failures(answer) == [43264]
    assert comments(values(answer.json(), "00081198")[0])[0].startswith("DICOM100: (7fe0,0010) - ")


@pytest.mark.parametrize("post", [post_json, post_xml])
def test_an_instance_that_lacks_frames_is_refused(archive: Archive, post: Any) -> None:
    """43264, as a file that ends within its pixel data; native frames may come in one part or in several."""
    native, compressed = make_image(3), make_encapsulated([b"\xff\xd8ab\xff\xd9"] * 3)
    few = take_apart(native.content, prefix="native")
    few.bulk = [replace(few.bulk[0], value=few.bulk[0].value[: len(native.frames[0])])]
    fewer = take_apart(compressed.content, prefix="compressed")
    fewer.bulk = fewer.bulk[:2]

    answer = post(archive, few, fewer)

    assert answer.status_code == 409
    assert failures(answer) == [43264, 43264]
    told = [comments(item)[0] for item in values(answer.json(), "00081198")]
    assert told == [f"DICOM100: (7fe0,0010) - {count} of 3 frames came." for count in (1, 2)]
    assert archive.get(native.path).status_code == archive.get(compressed.path).status_code == 404


def test_native_pixels_that_share_their_chroma_are_whole(archive: Archive) -> None:
    """PS3.3 section C.7.6.3.1.2: three samples a pixel take the room of two."""
    image = make_image(2)
    apart = take_apart(image.content)
    apart.metadata["00280002"] = {"vr": "US", "Value": [3]}
    apart.metadata["00280004"] = {"vr": "CS", "Value": ["YBR_FULL_422"]}
    apart.bulk = [replace(apart.bulk[0], value=image.frames[0] * 4)]

    assert stored(post_json(archive, apart)) == [image.instance]


@pytest.mark.parametrize("frames", [1, 2])
def test_a_part_too_many_is_told(archive: Archive, frames: int) -> None:
    """Once: the instance is stored without it, and the sender shall know."""
    image = make_encapsulated([b"\xff\xd8%d\xff\xd9" % number for number in range(frames)])
    apart = take_apart(image.content)
    apart.bulk += [apart.bulk[0]] * 2

    answer = post_json(archive, apart)

    assert answer.status_code == 202
    assert stored(answer) == [image.instance]
    assert failures(answer) == [43264]
    (item,) = values(answer.json(), "00081198")
    assert values(item, "00081155") == [image.instance]
    assert comments(item) == ["DICOM100: (7fe0,0010) - More parts came than belong to the instance."]


def test_instances_may_use_the_same_address_one_after_the_other(archive: Archive) -> None:
    """What comes behind the metadata of the second belongs to it; nothing is too many."""
    images = [make_image() for _ in range(2)]
    pieces = []
    for image in images:
        apart = take_apart(image.content)
        pieces.append(body_of(render_xml(apart.metadata), apart.bulk, XML).removesuffix(b"--b--\r\n"))

    answer = archive.post(b"".join(pieces) + b"--b--\r\n", AS_XML)

    assert answer.status_code == 200
    assert stored(answer) == [image.instance for image in images]


def test_items_keep_the_order_of_the_metadata(archive: Archive) -> None:
    """API rules section 3.6, though some instances are complete before others."""
    late, early, bad, last = make_image(), make(), make(SOPClassUID=None), make_image()
    apart = [take_apart(each.content, prefix=each.instance) for each in (late, early, bad, last)]
    apart[0].bulk, apart[3].bulk = apart[3].bulk, apart[0].bulk

    answer = post_json(archive, *apart)

    assert stored(answer) == [late.instance, early.instance, last.instance]
    assert failures(answer) == [43264]


def test_a_request_has_so_many_values_apart(archive: Archive) -> None:
    """413: as many as it may have parts."""
    apart = take_apart(make().content)
    for number in range(MAX_HOLES + 1):
        apart.metadata[f"{0x00111000 + number:08X}"] = {"vr": "OB", "BulkDataURI": "b"}
    first = take_apart(make().content)
    first.metadata["00111000"] = apart.metadata.pop("00111000")
    bulk = [Bulk("b", OCTETS, b"ab")]

    answer = post_json(archive, first, replace(apart, bulk=bulk))
    allowed = post_json(archive, replace(apart, bulk=bulk))

    assert answer.status_code == 413
    assert str(MAX_HOLES) in answer.text
    assert allowed.status_code == 200, allowed.text


def test_a_base_is_not_held_without_bound(archive: Archive) -> None:
    body = body_of(b"[]", []).replace(
        b"\r\n\r\n", b"\r\nContent-Base: http://h/%s\r\n\r\n" % (b"x" * 4000), 1
    )

    assert archive.post(body, AS_JSON).status_code == 400


def test_a_part_that_nothing_names_is_ignored(archive: Archive) -> None:
    """Clients send what they have."""
    image = make_image()
    apart = take_apart(image.content)
    apart.bulk = [Bulk("unknown", OCTETS, b"x" * 1000), *apart.bulk, Bulk("more", "text/plain", b"y")]

    assert stored(post_json(archive, apart)) == [image.instance]


def test_values_within_the_metadata_are_taken(archive: Archive) -> None:
    """InlineBinary, of pixel data too."""
    image = make_image(2)

    assert stored(post_json(archive, take_apart(image.content, inline=["7FE00010"]))) == [image.instance]
    assert frames_of(archive, image, "2,1") == [image.frames[1], image.frames[0]]


def test_values_within_sequences_come_apart_too(archive: Archive) -> None:
    """Such as an icon, or a palette in a functional group."""
    dataset = make_dataset()
    icons = [make_dataset(PatientID=None) for _ in range(2)]
    for number, icon in enumerate(icons):
        icon.PixelData = bytes([number]) * (3 + number)
        icon["PixelData"].VR = "OB"
    dataset.IconImageSequence = icons
    dataset.add_new(0x00091010, "OB", b"private")
    instance = as_instance(dataset)
    apart = take_apart(instance.content)
    assert len(apart.bulk) == 3

    assert stored(post_json(archive, apart)) == [instance.instance]
    assert file_of(archive, instance) == dcmread(io.BytesIO(instance.content))


def test_several_elements_may_name_one_part(archive: Archive) -> None:
    """A palette that instances share."""
    images = [make_image() for _ in range(3)]
    apart = [take_apart(image.content, prefix="shared") for image in images]

    answer = post_json(archive, *(replace(each, bulk=[]) for each in apart[:2]), apart[2])

    assert len(stored(answer)) == 3
    assert frames_of(archive, images[0], "1") == frames_of(archive, images[1], "1") == list(images[2].frames)


def test_elements_of_one_instance_may_name_one_part(archive: Archive) -> None:
    """Such as palettes of three colours that are the same."""
    instance = make()
    apart = take_apart(instance.content)
    tags = ("00281201", "00281202", "00281203")
    apart.metadata |= {key: {"vr": "OW", "BulkDataURI": "palette"} for key in tags}

    answer = post_json(archive, replace(apart, bulk=[Bulk("palette", OCTETS, b"abcd" * 100)]))

    assert stored(answer) == [instance.instance]
    assert [file_of(archive, instance)[int(key, 16)].value for key in tags] == [b"abcd" * 100] * 3


def test_what_is_named_again_and_again_is_bounded(archive: Archive) -> None:
    """413: one small request could fill the archive."""
    apart = [take_apart(make_image().content, prefix="shared") for _ in range(30)]
    bulk = [Bulk("shared0", OCTETS, bytes(MEBIBYTE))]

    answer = post_json(archive, *(replace(each, bulk=[]) for each in apart[1:]), replace(apart[0], bulk=bulk))

    assert answer.status_code == 413


MEBIBYTE = 1024 * 1024


def test_a_long_value_that_is_named_twice_in_one_file_is_refused(archive: Archive) -> None:
    """It could not go to two places of a blob at once."""
    apart = take_apart(make().content)
    item = {"7FE00010": {"vr": "OW", "BulkDataURI": "icon"}}
    apart.metadata["00880200"] = {"vr": "SQ", "Value": [item, item]}

    short = post_json(archive, replace(apart, bulk=[Bulk("icon", OCTETS, b"abcd")]))
    long = post_json(archive, replace(apart, bulk=[Bulk("icon", OCTETS, bytes(5 * MEBIBYTE))]))

    assert (failures(short), failures(long)) == ([], [43264])
    assert "(7fe0,0010)" in comments(values(long.json(), "00081198")[0])[0]


@pytest.mark.parametrize(
    ("key", "vr"), [("0040A160", "UT"), ("00281201", "UN"), ("00091001", "UN"), ("00189999", "FL")]
)
@pytest.mark.parametrize("size", [100, 3 * MEBIBYTE, 9 * MEBIBYTE])
def test_values_of_other_kinds_come_apart_too(archive: Archive, key: str, vr: str, size: int) -> None:
    """PS3.18 section F.2.2 allows it for nearly all; long ones do not stay in memory."""
    instance = make()
    apart = take_apart(instance.content)
    apart.metadata[key] = {"vr": vr, "BulkDataURI": "long"}
    value = b"0123456789abcdef" * (size // 16) + b"ab  " * (size % 16 // 4)

    answer = post_json(archive, replace(apart, bulk=[Bulk("long", "text/plain", value)]))

    assert stored(answer) == [instance.instance], answer.text
    file = archive.get(instance.path, AS_STORED).content
    assert file.count(value) == 1
    assert dcmread(io.BytesIO(file))[int(key, 16)].VR in (vr, "UN", "OW")


def test_large_native_pixels_become_the_same_file(archive: Archive) -> None:
    """They go to storage as they arrive, before the bytes that stand before them in the file."""
    image = make_image(3, rows=1500, columns=1501)
    assert len(image.content) > 12 * MEBIBYTE

    assert stored(post_json(archive, take_apart(image.content))) == [image.instance]

    assert frames_of(archive, image, "3,1") == [image.frames[2], image.frames[0]]
    assert file_of(archive, image) == dcmread(io.BytesIO(image.content))


@pytest.mark.parametrize(
    "sizes",
    [
        [5 * MEBIBYTE + 1, 100, 5 * MEBIBYTE],
        [100, 5 * MEBIBYTE + 1, 101, 102],
        [3 * MEBIBYTE] * 5,
        [MEBIBYTE // 2 + 1] * 40,
    ],
)
def test_large_compressed_frames_become_the_same_frames(archive: Archive, sizes: Sequence[int]) -> None:
    """Long ones at once, short ones when there are too many to hold."""
    frames = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    even = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    image = make_encapsulated(even, transfer_syntax=JPEG_2000)
    apart = take_apart(make_encapsulated([b"ab"] * len(frames), transfer_syntax=JPEG_2000).content)
    address = apart.bulk[0].address
    apart.metadata |= {key: {"vr": "UI", "Value": [uid]} for key, uid in identity(image)}
    apart.bulk = [Bulk(address, "image/jp2", frame) for frame in frames]

    assert stored(post_json(archive, apart)) == [image.instance]

    numbers = [len(frames), 1, 2]
    assert frames_of(archive, image, ",".join(map(str, numbers))) == [even[number - 1] for number in numbers]
    file = file_of(archive, image)
    assert file.PixelData == dcmread(io.BytesIO(image.content)).PixelData


def identity(instance: Instance) -> list[tuple[str, str]]:
    """The UIDs of an instance by key."""
    return [("0020000D", instance.study), ("0020000E", instance.series), ("00080018", instance.instance)]


def test_many_values_of_many_instances_are_held_or_not(archive: Archive) -> None:
    """More than is held in memory, all parts after all metadata and in another order."""
    images = [make_image(rows=800, columns=800) for _ in range(15)]
    apart = [take_apart(image.content, prefix=f"{number}/") for number, image in enumerate(images)]
    bulk = [part for each in reversed(apart) for part in each.bulk]

    metadata = json.dumps([each.metadata for each in apart]).encode()
    answer = archive.post(body_of(metadata, bulk), AS_JSON)

    assert sorted(stored(answer)) == sorted(image.instance for image in images)
    for image in images[:2] + images[-2:]:
        assert frames_of(archive, image, "1") == list(image.frames)


def test_text_is_written_in_the_set_named_if_it_fits(archive: Archive) -> None:
    """JSON is in UTF-8 whatever Specific Character Set says (PS3.18 section F.2.2)."""
    for names, text, written in (
        ([], "Jane", []),
        ([], "Grüße^Ön", ["ISO_IR 192"]),
        (["ISO_IR 100"], "Grüße^Ön", ["ISO_IR 100"]),
        (["ISO_IR 100"], "Ωmega", ["ISO_IR 192"]),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
        (["GB18030"], "Zhang^XiaoDong=张^小东", ["GB18030"]),
        (["NO SUCH SET"], "Jane", ["ISO_IR 192"]),
    ):
        instance = make()
        metadata = take_apart(instance.content).metadata
        groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
        metadata["00100010"] = {"vr": "PN", "Value": [dict(groups)]}
        metadata["00080005"] = {"vr": "CS", "Value": names}

        assert stored(post_json(archive, Apart(metadata))) == [instance.instance]

        (found,) = archive.metadata(instance.path)
        assert found["00100010"]["Value"] == metadata["00100010"]["Value"]
        assert [name or "" for name in found.get("00080005", {}).get("Value", [])] == written, text
        assert str(file_of(archive, instance).PatientName) == text


PROLOGUE = b'<?xml version="1.0"?><!DOCTYPE NativeDicomModel [<!ENTITY a "aaaa">]>'


@pytest.mark.parametrize(
    ("content_type", "kind", "document"),
    [
        (AS_JSON, JSON, b""),
        (AS_JSON, JSON, b"{"),
        (AS_JSON, JSON, b"[1]"),
        (AS_JSON, JSON, b"\xff\xfe"),
        (AS_JSON, JSON, b"[" * 100_000),
        (AS_JSON, JSON, b"[" + b"{}," * 600_000 + b"{}]"),
        (AS_XML, XML, b""),
        (AS_XML, XML, b"<NativeDicomModel>"),
        (AS_XML, XML, b"<Other/>"),
        (AS_XML, XML, b"<NativeDicomModel><DicomAttribute tag='x' vr='LO'/></NativeDicomModel>"),
        (AS_XML, XML, PROLOGUE + b"<NativeDicomModel>&a;</NativeDicomModel>"),
        (AS_XML, XML, b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><NativeDicomModel/>"),
        (
            AS_XML,
            XML,
            b"<NativeDicomModel>" + b"<DicomAttribute tag='00081140' vr='SQ'><Item number='1'>" * 200,
        ),
    ],
)
def test_metadata_that_are_none_refuse_the_request(
    archive: Archive, content_type: str, kind: str, document: bytes
) -> None:
    """400, and nothing is stored."""
    answer = archive.post(body_of(document, [], kind), content_type)

    assert answer.status_code == 400, answer.text
    assert archive.search("studies") == []


def test_metadata_that_are_too_long_refuse_the_request(archive: Archive) -> None:
    """413: they are held in memory."""
    document = json.dumps([{"00100010": {"vr": "PN", "Value": ["x" * 9 * MEBIBYTE]}}]).encode()

    assert archive.post(body_of(document, []), AS_JSON).status_code == 413


def test_bulk_data_before_the_metadata_refuse_the_request(archive: Archive) -> None:
    """PS3.18 section 8.6.1.2: nobody could tell where they belong."""
    apart = take_apart(make_image().content)
    body = body_of([], apart.bulk)

    answer = archive.post(body, AS_JSON)

    assert answer.status_code == 400
    assert "metadata" in answer.text


@pytest.mark.parametrize(
    ("key", "element"),
    [
        ("00280010", {"vr": "US", "Value": ["many"]}),
        ("00280010", {"vr": "US", "Value": [70000]}),
        ("00100010", {"vr": "XX", "Value": ["?"]}),
        ("00100010", {"vr": "PN", "Value": [["Doe"]]}),
        ("00100010", {"vr": "PN", "Value": "Doe"}),
        ("00281201", {"vr": "OW", "InlineBinary": "***"}),
        ("00281201", {"vr": "OW", "Value": [1]}),
        ("00081140", {"vr": "SQ", "Value": ["item"]}),
        ("00081140", {"vr": "SQ", "BulkDataURI": "bulk"}),
        ("00081140", []),
        ("PatientName", {"vr": "PN"}),
    ],
)
def test_an_element_that_cannot_be_written_fails_its_instance(
    archive: Archive, key: str, element: Any
) -> None:
    """43264, with a comment that names the tag; the others are stored."""
    broken, sound = make(), make()
    apart = take_apart(broken.content)
    apart.metadata[key] = element

    answer = post_json(archive, apart, take_apart(sound.content))

    assert answer.status_code == 202, answer.text
    assert stored(answer) == [sound.instance]
    (item,) = values(answer.json(), "00081198")
    assert values(item, "00081155") == [broken.instance]
    tag = f"({key[:4]},{key[4:]})" if key.isdigit() else "(0000,0000)"
    assert comments(item)[0].startswith(f"DICOM100: {tag} - ")


def test_sequences_nested_too_deep_fail_their_instance(archive: Archive) -> None:
    """As in a file."""
    apart = take_apart(make().content)
    for _ in range(60):
        apart.metadata["00081140"] = {
            "vr": "SQ",
            "Value": [{"00081140": apart.metadata.get("00081140", {"vr": "SQ"})}],
        }

    assert failures(post_json(archive, apart)) == [43264]


def test_a_request_that_breaks_off_tells_what_was_stored(archive: Archive) -> None:
    """What is complete is stored; the rest counts as failed."""
    first, second = make_image(rows=1500, columns=1500), make_image()
    apart = [take_apart(image.content, prefix=f"{number}/") for number, image in enumerate((first, second))]
    metadata = json.dumps([each.metadata for each in apart]).encode()
    body = body_of(metadata, [part for each in apart for part in each.bulk])

    answer = archive.post(body[:-20], AS_JSON)

    assert answer.status_code == 202, answer.text
    assert stored(answer) == [first.instance]
    assert failures(answer) == [272, 272]
    assert archive.get(second.path).status_code == 404


def test_a_request_without_parts_is_answered_with_nothing(archive: Archive) -> None:
    """API rules section 3.5."""
    answer = archive.post(b"--b--\r\n", AS_JSON)

    assert answer.status_code == 204
    assert answer.content == b""


def test_a_part_of_another_kind_refuses_the_request(archive: Archive) -> None:
    """API rules section 3.1: 415."""
    document = render_xml(take_apart(make().content).metadata)

    assert archive.post(body_of(document, [], XML), AS_JSON).status_code == 415


def test_what_dcm4che_sends_is_understood(archive: Archive) -> None:
    """Clients section 2.9: plain JSON, one object, blanks behind headers, the syntax with the metadata."""
    image = make_encapsulated([b"\xff\xd8ab\xff\xd9"])
    apart = take_apart(image.content, prefix="bulk")
    address = apart.bulk[0].address
    body = (
        (
            f"\r\n--myboundary\r\nContent-Type: application/json; transfer-syntax={JPEG_BASELINE} \r\n\r\n"
            f"{json.dumps(apart.metadata)}\r\n--myboundary\r\nContent-Type: image/dicom+jpeg \r\n"
            f"Content-Location: {address} \r\n\r\n"
        ).encode()
        + image.frames[0]
        + b"\r\n--myboundary--\r\n"
    )

    answer = archive.ask(
        "POST",
        "studies",
        XML,
        content=iter([body[:100], body[100:]]),
        headers={"Content-Type": 'multipart/related; type="application/json"; boundary=myboundary'},
    )

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == XML
    assert file_of(archive, image).file_meta.TransferSyntaxUID == JPEG_BASELINE
    assert frames_of(archive, image, "1") == list(image.frames)


BLOCK = bytes(range(256)) * 4096
BLOCKS = 400


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A service over storage of its own on disk, whose memory can be watched."""
    with azurite.start(tmp_path / "data", logs=tmp_path) as storage:
        host = Host(storage.connection_string(), tmp_path / "log")
        try:
            yield host
        finally:
            host.stop()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to see memory")
def test_a_large_value_passes_through_little_memory(host: Host, http: httpx.Client) -> None:
    """Within 64 MiB above idle, and every byte in its place."""
    archive = Archive.fresh(http, host.url)
    warm_up(archive)
    assert stored(post_json(archive, take_apart(make_image().content)))
    apart = take_apart(make_image(BLOCKS, rows=1, columns=1).content)
    apart.metadata |= {
        key: {"vr": "US", "Value": [value]} for key, value in (("00280010", 1024), ("00280011", 512))
    }
    whole = body_of(json.dumps(apart.metadata).encode(), apart.bulk)
    before, after = whole.split(apart.bulk[0].value)
    idle = host.memory("VmRSS")

    host.forget_peak()
    answer = archive.ask(
        "POST",
        "studies",
        JSON,
        content=chain([before], repeat(BLOCK, BLOCKS), [after]),
        headers={"Content-Type": AS_JSON},
    )
    grown = host.memory("VmHWM") - idle

    (instance,) = stored(answer)
    assert grown < ALLOWED_BYTES, grown
    (found,) = archive.search(f"instances?SOPInstanceUID={instance}")
    path = (
        f"studies/{found['0020000D']['Value'][0]}/series/{found['0020000E']['Value'][0]}/instances/{instance}"
    )
    frames = archive.get(f"{path}/frames/1,{BLOCKS}", ANY_FRAME)
    assert [part.content for part in parts_of(frames)] == [BLOCK, BLOCK]
    file = archive.get(path, AS_STORED).content
    assert file[-len(BLOCK) * BLOCKS :] == BLOCK * BLOCKS
    assert dcmread(io.BytesIO(file), stop_before_pixels=True).SOPInstanceUID == instance
