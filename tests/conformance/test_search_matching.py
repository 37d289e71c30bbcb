"""Every kind of match, over HTTP.

Source: API rules sections 8.3 to 8.6, PS3.4 section C.2.2.2, PS3.18 section 8.3.4.
"""

from urllib.parse import quote

import httpx
import pytest
from pydicom.dataset import Dataset as Items

from local.dev.service import Service
from tests.archive import JSON, Archive, uids, values
from tests.factories import Instance, as_instance, make, make_dataset

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"


def requested(step: str, request: str) -> Items:
    """An item of Request Attributes Sequence."""
    item = Items()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = step, request
    return item


FIRST = as_instance(
    make_dataset(
        SpecificCharacterSet="ISO_IR 192",
        StudyDate="20230405",
        StudyTime="101112.5",
        AccessionNumber="ACC-100",
        StudyDescription="Thorax, with contrast",
        StudyID="ST-1",
        PatientName="Müller^Jörg=山田^太郎=やまだ^たろう",
        PatientID="PAT 1",
        IssuerOfPatientID="North",
        PatientSex="M",
        ReferringPhysicianName="House^Gregory",
        Modality="CT",
        SeriesDate="20230405",
        SeriesTime="1020",
        SeriesDescription="Axial 5 mm",
        SeriesNumber=3,
        PerformedProcedureStepStartDate="20230405",
        PerformedProcedureStepStartTime="1030",
        RequestAttributesSequence=[requested("STEP-1", "REQ-1"), requested("STEP-2", "REQ-2")],
        InstanceNumber=7,
        AcquisitionDateTime="20230405103000",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
    )
)
SECOND = make(
    StudyDate="20240506",
    StudyTime="2300",
    AccessionNumber="ACC-200",
    StudyDescription="Head",
    StudyID="ST-2",
    PatientName="Doe^John",
    PatientID="PAT 2",
    PatientSex="F",
    Modality="MR",
    SeriesNumber=30,
    InstanceNumber=70,
)
BARE = as_instance(
    make_dataset(
        **dict.fromkeys(
            ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyID", "PatientName",
             "PatientSex", "Modality", "SeriesNumber", "InstanceNumber", "SeriesDescription",
             "PerformedProcedureStepStartDate")
        ),
        PatientID="PAT 3",
    )
)  # fmt: skip

ALL = {"1": FIRST, "2": SECOND, "3": BARE}


@pytest.fixture(scope="module")
def found(service: Service, http: httpx.Client) -> Archive:
    """An archive of three instances, each in a study of its own."""
    archive = Archive.fresh(http, service.url)
    archive.keep(*ALL.values())
    return archive


def named(instances: str) -> list[str]:
    """The UIDs of instances by their numbers, sorted."""
    return sorted(ALL[number].instance for number in instances)


def find(archive: Archive, query: str) -> list[str]:
    """The instances that a query finds among all, sorted."""
    return sorted(uids(archive.search(f"instances?{query}"), INSTANCE_UID))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("StudyTime=101112.5", "1"),
        ("00080030=101112.500000", "1"),
        ("StudyTime=10-11", "1"),
        ("StudyTime=-1011", ""),
        ("StudyTime=11-", "2"),
        ("StudyID=st-1", "1"),
        ("00200010=ST-*", "12"),
        ("PatientSex=F", "2"),
        ("PatientSex=M,F", "12"),
        ("IssuerOfPatientID=north", "1"),
        ("SeriesDate=20230405", "1"),
        ("SeriesTime=1020", "1"),
        ("SeriesDescription=*5%20mm", "1"),
        ("SeriesNumber=3", "1"),
        ("SeriesNumber=0003", "1"),
        ("00200011=030", "2"),
        ("PerformedProcedureStepStartTime=1030-1031", "1"),
        ("PerformedProcedureStepStartDate=20230405-20240131", "12"),
        ("RequestAttributesSequence.ScheduledProcedureStepID=STEP-1", "1"),
        ("00400275.00401001=req-2", "1"),
        ("RequestAttributesSequence.00400009=STEP*", "1"),
        ("00400275.ScheduledProcedureStepID=STEP-3", ""),
        ("00400275.00400009=STEP-1&00400275.00401001=REQ-1", "1"),
        ("00400275.00400009=STEP-1&00400275.00401001=REQ-2", ""),
        ("SOPClassUID=1.2.840.10008.5.1.4.1.1.2", "1"),
        ("SOPClassUID=1.2.840.10008.5.1.4.1.1.2,1.2.840.10008.5.1.4.1.1.7", "123"),
        ("InstanceNumber=7", "1"),
        ("AcquisitionDateTime=2023-2024", "1"),
        ("AcquisitionDateTime=20230405103000.0", "1"),
        ("AcquisitionDateTime=2023", ""),
    ],
)
def test_all_that_the_standard_searches_by_is_searched(found: Archive, query: str, expected: str) -> None:
    """PS3.18 table 10.6.1-5, beyond what Azure searches by."""
    assert find(found, query) == named(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=m*", "1"),
        ("PatientName=*JÖRG", "1"),
        ("PatientName=*o*j*", "2"),
        ("PatientName=d?e^john", "2"),
        ("PatientName=*田*", "1"),
        ("PatientName=やまだ*", "1"),
        ("PatientName=muller^jorg=山田^太郎=*", "1"),
        ("PatientName=*", "123"),
        ("PatientID=pat*", "123"),
        ("PatientID=*2", "2"),
        ("PatientID=*x*", ""),
        ("AccessionNumber=*c-?00", "12"),
        ("AccessionNumber=??????", ""),
        ("AccessionNumber=???????", "12"),
        ("StudyDescription=*contrast*", "1"),
        ("StudyDescription=*, with*", "1"),
        ("StudyDescription=h*d", "2"),
        ("ReferringPhysicianName=*greg*", "1"),
        ("Modality=?T", "1"),
        ("ModalitiesInStudy=C*,M*", "12"),
    ],
)
def test_wild_cards_stand_anywhere(found: Archive, query: str, expected: str) -> None:
    """PS3.4 section C.2.2.2.4, checklist 11: in names without regard for accents, in all groups."""
    assert find(found, quote(query, safe="=*?&,")) == named(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("joh", "2"),
        ("do", "2"),
        ("do jo", "2"),
        ("jo do", ""),
        ("Doe", "2"),
        ("doe^john", "2"),
        ("ohn", ""),
        ("mu jo", "1"),
        ("JÖ", "12"),
        ("müll", "1"),
        ("山", "1"),
        ("山 太", "1"),
        ("太", "1"),
        ("たろう", "1"),
        ("jorg 山田", "1"),
        ("*oh*", "2"),
        ("*do jo*", "2"),
        ("j", "12"),
    ],
)
def test_fuzzy_names_match_by_the_beginnings_of_words(found: Archive, name: str, expected: str) -> None:
    """Section 8.5."""
    assert find(found, f"fuzzymatching=true&PatientName={quote(name)}") == named(expected)


def test_fuzzy_matching_is_for_physicians_too(found: Archive) -> None:
    """Section 8.5; and for no other attribute."""
    assert find(found, "fuzzymatching=true&ReferringPhysicianName=greg") == named("1")
    assert find(found, "fuzzymatching=true&StudyDescription=tho") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("StudyDate=20230405-20240506&StudyTime=1012-2259", ""),
        ("StudyDate=20230405-20240506&StudyTime=1011-2300", "12"),
        ("StudyDate=20230405-20240506&StudyTime=1011-2259", "1"),
        ("StudyDate=20230405-20240506&StudyTime=1012-2300", "2"),
        ("StudyDate=20230404-20240507&StudyTime=23-00", "12"),
        ("StudyDate=20230405-&StudyTime=1012-", "2"),
        ("StudyDate=-20240506&StudyTime=-1000", "1"),
        ("StudyDate=20230101-20241231&StudyTime=2300", "2"),
        ("StudyDate=20230405&StudyTime=10-11", "1"),
        (
            "PerformedProcedureStepStartDate=20230404-20230406&PerformedProcedureStepStartTime=23-01",
            "1",
        ),
    ],
)
def test_ranges_of_a_date_and_of_its_time_are_one(found: Archive, query: str, expected: str) -> None:
    """PS3.18 section 8.3.4.1.1, checklist 14."""
    assert find(found, query) == named(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("AccessionNumber=", "3"),
        ("AccessionNumber=%22%22", "3"),
        ("PatientName=%22%22", "3"),
        ("StudyDate=", "3"),
        ("Modality=", "3"),
        ("ModalitiesInStudy=%22%22", "3"),
        ("InstanceNumber=&StudyDescription=", "3"),
        ("RequestAttributesSequence.RequestedProcedureID=", "23"),
        ("IssuerOfPatientID=&Modality=MR", "2"),
        ("PatientID=", ""),
    ],
)
def test_empty_values_are_found_by_a_switch(found: Archive, query: str, expected: str) -> None:
    """PS3.18 section 8.3.4.5, checklist 15a; without the switch Azure's rule stands (section 8.4)."""
    assert find(found, f"{query}&emptyvaluematching=true") == named(expected)


@pytest.mark.parametrize(
    "query", ["AccessionNumber=", "PatientID=%20", "StudyDate=&PatientID=PAT+1", "Modality"]
)
def test_empty_values_are_refused_without_it(found: Archive, query: str) -> None:
    """Section 8.4."""
    assert found.get(f"instances?{query}", JSON).status_code == 400


def test_several_modalities_must_be_there_by_a_switch(archive: Archive) -> None:
    """PS3.18 section 8.3.4.6, checklist 15a: without the switch one of them is enough."""
    both, one = make(Modality="CT"), make(Modality="CT")
    archive.keep(both, one, make(StudyInstanceUID=both.study, Modality="PT"))

    plain = archive.search("studies?ModalitiesInStudy=PT%5CCT")
    every = archive.search("studies?ModalitiesInStudy=PT%5CCT&multiplevaluematching=true")

    assert sorted(uids(plain, STUDY_UID)) == sorted([both.study, one.study])
    assert uids(every, STUDY_UID) == [both.study]


@pytest.mark.parametrize(
    "query",
    [
        "PatientID=PAT+1",
        "PatientID=PAT%201",
        "PatientID=pat%201%20%20",
        "PatientID=PAT%201%00",
        "ReferringPhysicianName=House%5EGregory",
        "ReferringPhysicianName=House^Gregory",
        "ReferringPhysicianName=house^gregory^^",
        "0020000d=" + FIRST.study,
    ],
)
def test_blanks_carets_and_padding_come_as_they_like(found: Archive, query: str) -> None:
    """Clients section 3.3, checklist 15a; API rules section 8.4."""
    assert find(found, query) == named("1")


def test_a_plus_in_a_moment_is_an_offset_and_refused(found: Archive) -> None:
    """Clients section 3.3, checklist 15a; API rules section 8.4."""
    for value in ("20230405103000%2B0100", "20230405103000+0100", "20230405103000%200100"):
        assert found.get(f"instances?AcquisitionDateTime={value}", JSON).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "StudyTime=x",
        "StudyTime=-",
        "StudyTime=12-10",
        "SeriesNumber=x",
        "InstanceNumber=1.5",
        "AcquisitionDateTime=x",
        "fuzzymatching=true&PatientName=%22doe%22",
        "PatientName=%3Cdoe",
        "SeriesNumber=1&00200011=1",
        "00400275.00400009=1&RequestAttributesSequence.ScheduledProcedureStepID=1",
        "RequestAttributesSequence.=1",
        "emptyvaluematching=maybe&PatientID=",
        "multiplevaluematching=1",
    ],
)
def test_impossible_values_are_refused(found: Archive, query: str) -> None:
    """Sections 8.4 to 8.6."""
    assert found.get(f"instances?{query}", JSON).status_code == 400


def test_what_was_asked_for_comes_back(found: Archive) -> None:
    """Section 8.7: also a sequence, of which a member was asked for."""
    (row,) = found.search("series?00400275.00400009=STEP-1&SeriesTime=1020")

    assert values(row, "00080031") == ["1020"]
    assert [item["00400009"]["Value"] for item in values(row, "00400275")] == [["STEP-1"], ["STEP-2"]]


def test_the_latest_value_of_a_study_is_the_one_searched(archive: Archive) -> None:
    """Section 8.8: of what instances of one study say differently, the last stored counts."""
    first = make(StudyDescription="Before", StudyID="OLD")
    archive.keep(first)
    archive.keep(make(StudyInstanceUID=first.study, StudyDescription="After", StudyID="NEW"))

    for before, after in (("Before", "After"), ("*efo*", "*fte*")):
        assert archive.search(f"studies?StudyDescription={before}") == []
        assert len(archive.search(f"studies?StudyDescription={after}")) == 1
    assert archive.search("studies?StudyID=OLD") == []
    assert len(archive.search("studies?StudyID=NEW")) == 1


def test_of_several_values_the_first_is_searched(archive: Archive) -> None:
    """Section 8.8, Q-29: where an attribute may have only one."""
    archive.keep(make(AccessionNumber="ONE\\TWO"))

    assert len(archive.search("studies?AccessionNumber=ONE")) == 1
    assert archive.search("studies?AccessionNumber=TWO") == []


def instance_of(level: str) -> Instance:
    """Something of each level whose attribute has another VR than its own."""
    dataset = make_dataset(StudyTime=None, SeriesNumber=None)
    tag = {"study": 0x00080030, "series": 0x00200011}[level]
    dataset.add_new(tag, "LO", "101112")
    return as_instance(dataset)


@pytest.mark.parametrize(
    ("level", "query"), [("study", "StudyTime=101112"), ("series", "SeriesNumber=101112")]
)
def test_what_has_another_vr_is_not_searched(archive: Archive, level: str, query: str) -> None:
    """Section 3.9: it would mislead every search."""
    archive.keep(instance_of(level))

    assert archive.search(f"series?{query}") == []
