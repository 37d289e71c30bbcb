"""A study or series as one ZIP archive (PS3.18 section 8.7.3, clients section 4.1)."""

import io
import re
import struct
import zipfile
import zlib

import httpx
import pytest

from local.dev.service import Service
from tests.archive import Archive, parts_of
from tests.factories import Instance, make, make_encapsulated, make_image, new_uid

ZIP = "application/zip"


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> tuple[Archive, list[Instance]]:
    """A study of two series, stored by several requests, with a file that is no small one."""
    archive, study, series = Archive.fresh(http, service.url), new_uid(), new_uid()
    made = [
        make_image(StudyInstanceUID=study, SeriesInstanceUID=series),
        make_encapsulated([b"one!"], StudyInstanceUID=study, SeriesInstanceUID=series),
        make_image(9, rows=600, columns=500, StudyInstanceUID=study, SeriesInstanceUID=series),
        make(StudyInstanceUID=study, PatientName="Secret^Name"),
    ]
    archive.keep(*made[:2])
    archive.keep(*made[2:])
    return archive, made


def name_of(instance: Instance) -> str:
    """The name of its file in the archive."""
    return f"{instance.series}/{instance.instance}.dcm"


@pytest.mark.parametrize(
    "accept", [ZIP, f"{ZIP}; transfer-syntax=*", f"image/png, {ZIP}", f'{ZIP}, multipart/related; type="x/y"']
)
def test_a_study_comes_as_an_archive_of_its_files(kept: tuple[Archive, list[Instance]], accept: str) -> None:
    """Each as it is stored, under its series."""
    archive, instances = kept

    answer = archive.get(f"studies/{instances[0].study}", accept)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == ZIP
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{instances[0].study}.zip"'
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    assert {name: found.read(name) for name in found.namelist()} == {
        name_of(each): each.content for each in instances
    }


def test_a_series_comes_without_the_other_series(kept: tuple[Archive, list[Instance]]) -> None:
    """The same for one series."""
    archive, instances = kept

    answer = archive.get(instances[0].series_path, ZIP)

    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert set(found.namelist()) == {name_of(each) for each in instances[:3]}
    assert f"{instances[0].series}.zip" in answer.headers["Content-Disposition"]


def test_names_tell_nothing_of_a_patient(kept: tuple[Archive, list[Instance]]) -> None:
    """UIDs, and nothing that leads out of the folder they are unpacked to."""
    archive, instances = kept

    found = zipfile.ZipFile(io.BytesIO(archive.get(f"studies/{instances[0].study}", ZIP).content))

    assert all(re.fullmatch(r"[0-9.]+/[0-9.]+\.dcm", name) for name in found.namelist())
    assert not any(entry.comment or entry.extra for entry in found.infolist())


def test_the_archive_can_be_read_from_a_stream(kept: tuple[Archive, list[Instance]]) -> None:
    """By a reader that sees the entries before the directory, as Java's does: each tells its own end."""
    archive, instances = kept

    content = archive.get(f"studies/{instances[0].study}", ZIP).content

    assert entries_in_order(content) == {name_of(each): each.content for each in instances}


def entries_in_order(content: bytes) -> dict[str, bytes]:
    """Read local headers, deflated data and data descriptors, one after the other."""
    found, at = {}, 0
    while content[at : at + 4] == b"PK\3\4":
        flags, method = struct.unpack_from("<HH", content, at + 6)
        name_bytes, extra_bytes = struct.unpack_from("<HH", content, at + 26)
        name = content[at + 30 : at + 30 + name_bytes].decode()
        assert flags & 8
        assert method == zipfile.ZIP_DEFLATED
        inflate = zlib.decompressobj(-15)
        plain = inflate.decompress(content[at + 30 + name_bytes + extra_bytes :])
        at = len(content) - len(inflate.unused_data)
        mark, crc, _, size = struct.unpack_from("<4sIII", content, at)
        assert (mark, crc, size) == (b"PK\7\x08", zlib.crc32(plain), len(plain))
        found[name], at = plain, at + 16
    return found


def test_an_archive_of_nothing_is_404(kept: tuple[Archive, list[Instance]]) -> None:
    """As in every other form."""
    archive, _ = kept

    assert archive.get(f"studies/{new_uid()}", ZIP).status_code == 404
    assert archive.get(make().series_path, ZIP).status_code == 404


def test_one_instance_is_no_archive(kept: tuple[Archive, list[Instance]]) -> None:
    """It is offered for studies and series."""
    archive, instances = kept

    assert archive.get(instances[0].path, ZIP).status_code == 406


def test_head_of_an_archive(kept: tuple[Archive, list[Instance]]) -> None:
    """As GET, without the body."""
    archive, instances = kept

    head = archive.ask("HEAD", f"studies/{instances[0].study}", ZIP)

    assert head.status_code == 200
    assert head.headers["Content-Type"] == ZIP
    assert head.content == b""


@pytest.mark.parametrize("weights", [("", ";q=0.5"), (";q=0.9", ";q=0.1")])
def test_weights_decide_between_files_and_an_archive(
    kept: tuple[Archive, list[Instance]], weights: tuple[str, str]
) -> None:
    """PS3.18 section 8.7.8.1; and where the first cannot be given the second is."""
    archive, instances = kept
    files = 'multipart/related; type="application/dicom"; transfer-syntax='
    path = f"studies/{instances[0].study}"
    first, second = weights

    assert parts_of(archive.get(path, f"{files}*{first}, {ZIP}{second}"))
    for accept in (f"{files}*{second}, {ZIP}{first}", f"{files}1.2.3.4{first}, {ZIP}{second}"):
        assert archive.get(path, accept).headers["Content-Type"] == ZIP
