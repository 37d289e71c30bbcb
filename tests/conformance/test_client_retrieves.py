"""What real clients send to retrieve, and what they can read of the answer: replays of matrix 1.3.

Source: clients sections 1.3 and 2; checklist 2 to 6, 30, 33, 36 and 37.
"""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import httpx
import pydicom
import pytest
from dicomweb_client import DICOMwebClient

from local.dev.service import Service
from shared.dicom.codecs import decode_frame
from tests.archive import ANY_FRAME, Archive, Part, parts_of
from tests.conformance.test_transcoding import GREY, GREYS, compressed
from tests.factories import EXPLICIT, JPEG_2000, MPEG_2, Instance, make_encapsulated, make_image, new_uid

JPEG_LS, HTJ2K, JPEG, H264 = (f"1.2.840.10008.1.2.4.{last}" for last in (80, 201, 50, 102))
RLE = "1.2.840.10008.1.2.5"
PARTS = "multipart/related"

STUDY = new_uid()
NATIVE = make_image(3, StudyInstanceUID=STUDY)
PACKED = compressed(GREYS, GREY, JPEG_LS, StudyInstanceUID=STUDY)


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds the instances above, for tests that only read them."""
    archive = Archive.fresh(http, service.url)
    archive.keep(NATIVE, PACKED)
    return archive


@dataclass(frozen=True, slots=True)
class Reader:
    """How a client asks, and what it reads."""

    name: str
    accept: str | None
    query: str = ""
    slash: bool = False
    """Whether it ends paths in a slash."""

    single: bool = False
    """Whether the answer must be a single part; else it must be a multipart."""

    as_stored: bool = True
    """Whether it takes what is stored; else it wants explicit little endian."""

    def ask(self, archive: Archive, path: str) -> httpx.Response:
        """Send its request."""
        return archive.get(f"{path}{'/' if self.slash else ''}{self.query}", self.accept)


JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
FILE_READERS = (
    Reader("OHIF", f'{PARTS}; type="application/dicom"', as_stored=False),
    Reader("Python client", f'{PARTS}; type="application/dicom"', as_stored=False),
    Reader("Python client, any", f'{PARTS}; type="application/dicom"; transfer-syntax=*'),
    Reader("Weasis", f'{PARTS};type="application/dicom";transfer-syntax=*'),
    Reader("dcm4che", JAVA, "?accept=*"),
    Reader("dcm4che, typed", JAVA, f"?accept={PARTS};type=application/dicom;transfer-syntax=*"),
    Reader("dcmweb", "application/dicom; transfer-syntax=*", single=True),
    Reader(
        "MONAI Deploy",
        f'{PARTS}; type="application/dicom"; transfer-syntax="{EXPLICIT}"',
        slash=True,
        as_stored=False,
    ),
    Reader("Orthanc", f'{PARTS}; type="application/dicom"; transfer-syntax=*'),
    Reader("Microsoft", f'{PARTS}; type="application/dicom"; transfer-syntax=*'),
    Reader("Microsoft, single", "application/dicom; transfer-syntax=*", single=True),
    Reader("Microsoft .NET", f'{PARTS}; type="application/dicom";transfer-syntax="*"'),
)
FRAME_READERS = (
    Reader("OHIF", f"{PARTS}; type=application/octet-stream; transfer-syntax=*"),
    Reader("OHIF, quoted", f'{PARTS}; type="application/octet-stream"; transfer-syntax="*"'),
    Reader(
        "OHIF, preferring", f'{PARTS}; type="image/jls"; transfer-syntax="{JPEG_LS}"; transfer-syntax="*"'
    ),
    Reader("Cornerstone3D", None, "?accept=image/jhc", single=True, as_stored=False),
    Reader("Python client", f'{PARTS}; type="*/*"'),
    Reader(
        "dcmjs",
        f'{PARTS}; type="image/x-jls"; transfer-syntax={JPEG_LS}, '
        f'{PARTS}; type="application/octet-stream"; transfer-syntax=*',
    ),
    Reader("dicom-microscopy-viewer", f'{PARTS}; type="application/octet-stream"; transfer-syntax=*'),
    Reader("dcm4che", JAVA, "?accept=*"),
    Reader("Microsoft", f'{PARTS}; type="application/octet-stream"; transfer-syntax=*'),
    Reader("Microsoft, single", "application/octet-stream; transfer-syntax=*", single=True),
)


def first_of(reader: Reader, answer: httpx.Response) -> tuple[str, bytes]:
    """Content-Type and content of the first part, or of the answer if the reader wants it single."""
    assert answer.status_code == 200, answer.text
    if reader.single:
        assert "multipart" not in answer.headers["Content-Type"]
        return answer.headers["Content-Type"], answer.content
    part = parts_of(answer)[0]
    return part.content_type, part.content


@pytest.mark.parametrize("image", [NATIVE, PACKED], ids=["native", "compressed"])
@pytest.mark.parametrize("reader", FILE_READERS, ids=lambda reader: reader.name)
def test_every_clients_request_for_an_instance(kept: Archive, reader: Reader, image: Instance) -> None:
    """As stored for who takes that, else in explicit little endian; the part tells which."""
    content_type, content = first_of(reader, reader.ask(kept, image.path))

    found = pydicom.dcmread(io.BytesIO(content))
    assert content_type == f"application/dicom; transfer-syntax={found.file_meta.TransferSyntaxUID}"
    assert found.SOPInstanceUID == image.instance
    if reader.as_stored:
        assert content == image.content
    else:
        assert found.file_meta.TransferSyntaxUID == EXPLICIT
        assert found.PixelData == b"".join(image.frames)


@pytest.mark.parametrize("level", ["study", "series"])
@pytest.mark.parametrize(
    "reader", [each for each in FILE_READERS if not each.single], ids=lambda reader: reader.name
)
def test_every_clients_request_for_a_study_or_series(kept: Archive, reader: Reader, level: str) -> None:
    """All instances, in one multipart."""
    answer = reader.ask(kept, {"study": f"studies/{STUDY}", "series": PACKED.series_path}[level])

    found = [pydicom.dcmread(io.BytesIO(part.content)) for part in parts_of(answer)]
    expected = {NATIVE.instance, PACKED.instance} if level == "study" else {PACKED.instance}
    assert {str(dataset.SOPInstanceUID) for dataset in found} == expected
    if not reader.as_stored:
        assert {str(dataset.file_meta.TransferSyntaxUID) for dataset in found} == {EXPLICIT}


@pytest.mark.parametrize("image", [NATIVE, PACKED], ids=["native", "compressed"])
@pytest.mark.parametrize("reader", FRAME_READERS, ids=lambda reader: reader.name)
def test_every_clients_request_for_a_frame(kept: Archive, reader: Reader, image: Instance) -> None:
    """The syntax that the part names is the one its bytes have."""
    content_type, content = first_of(reader, reader.ask(kept, f"{image.path}/frames/2"))

    syntax = content_type.rpartition("transfer-syntax=")[2]
    assert syntax == ({NATIVE: EXPLICIT, PACKED: JPEG_LS}[image] if reader.as_stored else HTJ2K)
    assert pixels_of(content, syntax, image) == image.frames[1]


def pixels_of(content: bytes, syntax: str, image: Instance) -> bytes:
    """The native pixels of a frame."""
    if syntax == EXPLICIT:
        return content
    size = (GREY.rows, GREY.columns) if image is PACKED else (4, 4)
    description = replace(GREY, rows=size[0], columns=size[1], transfer_syntax=syntax)
    return decode_frame(content, description).content


def test_dcmwebs_dangling_semicolon(kept: Archive) -> None:
    """Clients section 2.10: nothing makes JPEG of these pixels without loss, which is said plainly."""
    answer = kept.get(f"{NATIVE.path}/frames/1", 'multipart/related; type="image/jpeg";')

    assert answer.status_code == 406
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_boundary_that_dcmweb_and_dotnet_can_read(kept: Archive) -> None:
    """Clients section 4.2: `type` first and quoted, boundary last, lower-case and unquoted."""
    header = kept.get(NATIVE.path, "*/*").headers["Content-Type"]

    assert header.startswith('multipart/related; type="application/dicom"; boundary=')
    assert header.rpartition("=")[2].isalnum()
    assert header == header.lower()


@pytest.fixture
def client(kept: Archive) -> DICOMwebClient:
    """The Python client."""
    return DICOMwebClient(url=kept.root)


def test_the_python_client_has_its_syntaxes_made(client: DICOMwebClient) -> None:
    """Clients section 2.5: a media type with a syntax, for instances, series and frames."""
    address = (STUDY, PACKED.series, PACKED.instance)

    plain = client.retrieve_instance(*address, media_types=(("application/dicom", EXPLICIT),))
    packed = client.retrieve_series(*address[:2], media_types=(("application/dicom", JPEG_2000),))
    native = client.retrieve_instance_frames(
        *address, [3, 1], media_types=(("application/octet-stream", EXPLICIT),)
    )
    wavelet = client.retrieve_instance_frames(*address, [1], media_types=(("image/jp2", JPEG_2000),))

    assert plain.PixelData == b"".join(GREYS)
    assert [each.file_meta.TransferSyntaxUID for each in packed] == [JPEG_2000]
    assert native == [GREYS[2], GREYS[0]]
    assert wavelet[0][:4] == b"\xff\x4f\xff\x51"


def part_as_dcmjs_reads_it(part: Part) -> str:
    """The syntax: the value of the parameter up to the next semicolon, quotes kept."""
    head = part.head.decode("latin-1")
    return head.partition("transfer-syntax=")[2].partition("\r\n")[0].partition(";")[0]


@pytest.mark.parametrize(
    ("syntax", "media_type"),
    [
        (JPEG, "image/jpeg"),
        (JPEG_LS, "image/jls"),
        (JPEG_2000, "image/jp2"),
        (HTJ2K, "image/jphc"),
        (RLE, "image/dicom-rle"),
        (MPEG_2, "application/octet-stream"),
        (H264, "application/octet-stream"),
    ],
)
def test_each_syntax_comes_as_stored_with_its_type(archive: Archive, syntax: str, media_type: str) -> None:
    """Checklist 37, and 30: unquoted, in a head of less than 1,000 bytes."""
    image = make_encapsulated([b"\xff\xd8ab\xff\xd9"], transfer_syntax=syntax)
    archive.keep(image)

    typed = archive.get(f"{image.path}/frames/1", f'{PARTS}; type="{media_type}"; transfer-syntax=*')
    plain = archive.get(f"{image.path}/frames/1", ANY_FRAME)

    assert parts_of(typed)[0].content_type == f"{media_type}; transfer-syntax={syntax}"
    assert parts_of(plain)[0].content_type == f"application/octet-stream; transfer-syntax={syntax}"
    assert {parts_of(each)[0].content for each in (typed, plain)} == set(image.frames)
    assert part_as_dcmjs_reads_it(parts_of(plain)[0]) == syntax


@pytest.mark.parametrize("syntax", [RLE, EXPLICIT, HTJ2K])
def test_a_tile_storm(archive: Archive, syntax: str) -> None:
    """Checklist 36: 64 in parallel, as stored, decompressed and compressed anew; each gets its own tile."""
    slide = compressed([bytes([number, 0] * GREY.pixels) for number in range(100)], GREY, RLE)
    archive.keep(slide)

    accept = "image/jphc" if syntax == HTJ2K else f"application/octet-stream; transfer-syntax={syntax}"

    def ask(number: int) -> bytes:
        answer = archive.get(f"{slide.path}/frames/{number}", accept)
        assert answer.status_code == 200, answer.text
        return answer.content

    with ThreadPoolExecutor(64) as pool:
        found = list(pool.map(ask, range(1, 101)))

    known = replace(GREY, transfer_syntax=syntax)
    assert [decode_frame(content, known).content[0] for content in found] == list(range(100))
