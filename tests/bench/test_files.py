"""The made-up files of the benchmark are what they are said to be."""

import io

import pydicom
import pytest
from pydicom.encaps import generate_frames

from bench.files import (
    CT,
    SMALL,
    TINY,
    Compressed,
    Place,
    Shape,
    accession,
    make_file,
    modality,
    patient_id,
    patient_name,
    study_day,
)


def test_a_file_is_read_by_pydicom_and_has_as_long_a_header_as_a_scanners() -> None:
    content = make_file(Place(7, 12, 1, 3), SMALL)

    dataset = pydicom.dcmread(io.BytesIO(content))

    assert 100 <= len(dataset) <= 150
    assert dataset.pixel_array.shape == (96, 96)


@pytest.mark.parametrize(("shape", "kilobytes"), [(TINY, 3), (SMALL, 21), (CT, 527)])
def test_a_file_has_the_size_its_name_promises(shape: Shape, kilobytes: int) -> None:
    assert len(make_file(Place(7, 0), shape)) // 1000 == kilobytes


def test_a_file_says_what_searches_look_for() -> None:
    place = Place(7, 1234, 1, 3)

    dataset = pydicom.dcmread(io.BytesIO(make_file(place, TINY)))

    assert dataset.StudyInstanceUID == place.study_uid
    assert dataset.SeriesInstanceUID == place.series_uid
    assert dataset.SOPInstanceUID == place.instance_uid
    assert dataset.PatientID == patient_id(1234)
    assert dataset.AccessionNumber == accession(1234)
    assert dataset.PatientName == patient_name(1234)
    assert dataset.StudyDate == f"{study_day(1234):%Y%m%d}"
    assert dataset.Modality == modality(1234)


def test_all_frames_of_a_large_object_are_there() -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_file(Place(7, 0), Shape(64, 64, 5))))

    assert dataset.NumberOfFrames == 5
    assert len(dataset.PixelData) == 5 * 64 * 64 * 2


def test_compressed_frames_are_there_as_they_were_given() -> None:
    given = [b"one!", b"three", b"two"]

    content = make_file(Place(7, 0), Shape(64, 64, 3), Compressed("1.2.840.10008.1.2.4.50", given))

    dataset = pydicom.dcmread(io.BytesIO(content))
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    assert list(generate_frames(dataset.PixelData, number_of_frames=3)) == [b"one!", b"three\0", b"two\0"]


def test_what_describes_a_study_or_series_is_the_same_in_all_its_instances() -> None:
    """Otherwise each store would change the study, and the benchmark measure that."""
    first, second = (
        pydicom.dcmread(io.BytesIO(make_file(Place(7, 5, 0, number), TINY))) for number in (0, 99)
    )

    differing = {element.keyword for element in first if second[element.tag].value != element.value}

    assert differing == {
        "SOPInstanceUID", "AcquisitionTime", "ContentTime", "InstanceNumber", "ImagePositionPatient",
        "SliceLocation", "PixelData",
    }  # fmt: skip


def test_the_first_ten_thousand_studies_have_names_of_their_own() -> None:
    assert len({patient_name(study) for study in range(10_000)}) == 10_000
