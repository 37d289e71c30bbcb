"""WADO-URI: PS3.18 chapter 9, clients sections 2.2 and 2.3, checklist 58."""

import httpx
import pytest

from local.dev.service import Service
from tests.archive import Archive
from tests.factories import EXPLICIT, JPEG_BASELINE, Instance, make, make_encapsulated, make_image

FILE = "contentType=application/dicom&transferSyntax=*"


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> tuple[Archive, Instance]:
    """A stored image, for tests that only read it."""
    archive, image = Archive.fresh(http, service.url), make_image()
    archive.keep(image)
    return archive, image


def query(instance: Instance, rest: str = FILE) -> str:
    """A request as the JavaScript client writes it: nothing is encoded."""
    uids = f"studyUID={instance.study}&seriesUID={instance.series}&objectUID={instance.instance}"
    return f"?requestType=WADO&{uids}&{rest}"


@pytest.mark.parametrize("place", ["", "/", "/wado", "/wado/"])
@pytest.mark.parametrize(
    "rest",
    [
        FILE,
        "contentType=application%2Fdicom&transferSyntax=%2A",
        f"contentType=application/dicom&transferSyntax={EXPLICIT}",
        "contentType=application/dicom",
        "contentType=application/dicom,image/jpeg&transferSyntax=*&charset=utf-8&unknown=1",
        "CONTENTTYPE=Application/DICOM&transfersyntax=*",
        f"{FILE}&frameNumber=1",
    ],
)
def test_an_instance_comes_as_a_file(kept: tuple[Archive, Instance], place: str, rest: str) -> None:
    """At the base and at `wado`, however it is spelt; the media type has no transfer-syntax here."""
    archive, image = kept

    answer = archive.http.get(f"{archive.root}{place}{query(image, rest)}")

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/dicom"
    assert answer.headers["Content-Length"] == str(len(image.content))
    assert answer.content == image.content


@pytest.mark.parametrize("place", ["wado", "v2/wado", "v1/wado", "v2"])
def test_without_a_partition_it_is_the_default_one(service: Service, http: httpx.Client, place: str) -> None:
    """Clients that know no version look at `/wado`."""
    image = make_image()
    Archive(http, service.url, None).keep(image)

    answer = http.get(f"{service.url}/{place}{query(image)}")

    assert answer.content == image.content


def test_the_accept_header_counts_where_the_query_names_no_type(kept: tuple[Archive, Instance]) -> None:
    """PS3.18 section 9.3."""
    archive, image = kept

    answer = archive.get(f"wado{query(image, 'transferSyntax=*')}", "application/dicom")

    assert answer.content == image.content


def test_parameters_of_the_content_type_count(kept: tuple[Archive, Instance]) -> None:
    """Weights, and the transfer syntax where a client puts it beside the type."""
    archive, image = kept

    file = archive.get(f"wado{query(image, 'contentType=image/jpeg;q=0.5,application/dicom')}")
    unmade = f"contentType=application/dicom;transfer-syntax={JPEG_BASELINE}"

    assert file.headers["Content-Type"] == "application/dicom"
    assert archive.get(f"wado{query(image, unmade)}").status_code == 406


def test_a_stored_syntax_is_found_by_name(archive: Archive) -> None:
    """And another one that cannot be made is 406."""
    image = make_encapsulated([b"no real jpeg"])
    archive.keep(image)

    asked = f"contentType=application/dicom&transferSyntax={JPEG_BASELINE}"

    assert archive.get(f"wado{query(image, asked)}").content == image.content
    other = "contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.4.100"
    assert archive.get(f"wado{query(image, other)}").status_code == 406


def test_ranges_and_tags_are_those_of_the_instance(kept: tuple[Archive, Instance]) -> None:
    """Clients section 3.6."""
    archive, image = kept
    path = f"wado{query(image)}"
    etag = archive.get(path).headers["ETag"]

    part = archive.get(path, Range="bytes=128-131")

    assert part.status_code == 206
    assert part.content == b"DICM"
    assert archive.get(path, If_None_Match=etag).status_code == 304
    head = archive.ask("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(image.content))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("requestType=WADO", "requestType=OTHER"),
        ("requestType=WADO&", ""),
        ("studyUID=", "study="),
        ("seriesUID=", "seriesUID=x"),
        ("objectUID=", "objectUID=&x="),
        ("transferSyntax=*", "transferSyntax=implicit"),
    ],
)
def test_what_is_missing_or_malformed_is_400(kept: tuple[Archive, Instance], old: str, new: str) -> None:
    """PS3.18 section 9.4.1."""
    archive, image = kept

    answer = archive.get(f"wado{query(image).replace(old, new)}")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_an_unknown_instance_is_404(kept: tuple[Archive, Instance]) -> None:
    """PS3.18 section 9.4.3."""
    archive, _ = kept

    assert archive.get(f"wado{query(make())}").status_code == 404
    assert archive.get("wado" + query(make()).replace("WADO", "wado")).status_code == 404


def test_nothing_is_anonymized(kept: tuple[Archive, Instance]) -> None:
    """Better no answer than one with names in it."""
    archive, image = kept

    assert archive.get(f"wado{query(image, f'{FILE}&anonymize=yes')}").status_code == 406
    assert archive.get(f"wado{query(image, f'{FILE}&anonymize=no')}").status_code == 200


def test_the_base_without_a_request_is_404(kept: tuple[Archive, Instance]) -> None:
    """As before there was anything at it."""
    archive, _ = kept

    assert archive.get("").status_code == 404
    assert archive.get("?x=y").status_code == 404
    assert archive.http.get(f"{archive.host}/v9?requestType=WADO").status_code == 404
