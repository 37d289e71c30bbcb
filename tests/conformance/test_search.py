"""Search (QIDO-RS): API rules section 8, clients sections 3.2 and 3.3."""

import httpx
import pytest
from pydicom.dataset import Dataset as Dicom

from local.dev.service import Service
from tests.archive import JSON, Archive, Dataset, uids, values
from tests.factories import IMPLICIT, Instance, as_instance, make, make_dataset, new_uid

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"

CT_STUDY, CT_SERIES = new_uid(), new_uid()
# One study of two series, one that differs from it in everything, one with nearly nothing.
CT = [
    make(
        StudyInstanceUID=CT_STUDY,
        SeriesInstanceUID=CT_SERIES,
        StudyDate="20230405",
        AccessionNumber="ACC-1",
        Modality="CT",
        ReferringPhysicianName="House^Gregory",
        StudyDescription="Chest, with contrast",
        ManufacturerModelName="Scanner X/1",
        PatientName="Müller^Jörg",
        SpecificCharacterSet="ISO_IR 100",
        PatientID="PAT 1",
        PatientBirthDate="19700101",
        PerformedProcedureStepStartDate="20230406",
        InstanceNumber=number,
    )
    for number in (1, 2)
]
PT = make(
    StudyInstanceUID=CT_STUDY,
    StudyDate="20230405",
    AccessionNumber="ACC-1",
    Modality="PT",
    ReferringPhysicianName="House^Gregory",
    StudyDescription="Chest, with contrast",
    ManufacturerModelName="Scanner Y",
    PatientName="Müller^Jörg",
    SpecificCharacterSet="ISO_IR 100",
    PatientID="PAT 1",
    PatientBirthDate="19700101",
    PerformedProcedureStepStartDate="20230407",
)
MR = make(
    StudyDate="20240101",
    AccessionNumber="ACC-2",
    Modality="MR",
    ReferringPhysicianName="Cuddy^Lisa",
    StudyDescription="Head",
    ManufacturerModelName="Magnet",
    PatientName="Smith^Anna=スミス^アンナ",
    SpecificCharacterSet="ISO_IR 192",
    PatientID="PAT 2",
    PatientBirthDate="19991231",
    PerformedProcedureStepStartDate="20240102",
)
BARE = as_instance(
    make_dataset(
        **dict.fromkeys(
            (
                "StudyDate", "StudyTime", "AccessionNumber", "Modality", "ReferringPhysicianName",
                "StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientName",
                "PatientBirthDate", "PatientSex", "StudyID", "SeriesNumber", "InstanceNumber",
                "PerformedProcedureStepStartDate",
            )
        ),
        PatientID="PAT 3",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def found(service: Service, http: httpx.Client) -> Archive:
    """An archive of three studies, stored in the order CT, MR, BARE."""
    archive = Archive.fresh(http, service.url)
    for instances in (CT, [PT], [MR], [BARE]):
        archive.keep(*instances)
    return archive


def studies(archive: Archive, query: str) -> list[str]:
    """The studies that a query finds."""
    return uids(archive.search(f"studies?{query}"), STUDY_UID)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"StudyInstanceUID={CT_STUDY}", [CT[0].study]),
        (f"0020000D={CT_STUDY}", [CT[0].study]),
        (f"0020000d={CT_STUDY}%20", [CT[0].study]),
        ("StudyDate=20230405", [CT[0].study]),
        ("00080020=20240101", [MR.study]),
        ("AccessionNumber=ACC-1", [CT[0].study]),
        ("AccessionNumber=acc-1", [CT[0].study]),
        ("AccessionNumber=ACC", []),
        ("ModalitiesInStudy=CT", [CT[0].study]),
        ("ModalitiesInStudy=PT", [CT[0].study]),
        ("ModalitiesInStudy=US", []),
        ("ReferringPhysicianName=House%5EGregory", [CT[0].study]),
        ("ReferringPhysicianName=house^gregory", [CT[0].study]),
        ("ReferringPhysicianName=House", []),
        ("StudyDescription=Chest,%20with%20contrast", [CT[0].study]),
        ("StudyDescription=Chest%2C+with+contrast", [CT[0].study]),
        ("StudyDescription=chest, WITH contrast ", [CT[0].study]),
        ("PatientName=M%C3%BCller%5EJ%C3%B6rg", [CT[0].study]),
        ("PatientName=muller^jorg", [CT[0].study]),
        ("PatientName=Smith%5EAnna", [MR.study]),
        ("PatientName=%E3%82%B9%E3%83%9F%E3%82%B9%5E%E3%82%A2%E3%83%B3%E3%83%8A", [MR.study]),
        ("PatientID=PAT%201", [CT[0].study]),
        ("PatientID=PAT+1", [CT[0].study]),
        ("00100020=pat%202", [MR.study]),
        ("PatientBirthDate=19991231", [MR.study]),
        ("PatientID=PAT%203", [BARE.study]),
    ],
)
def test_every_study_attribute_matches_its_whole_value(
    found: Archive, query: str, expected: list[str]
) -> None:
    """Sections 8.3 and 8.4: keyword or tag; without case; names also without accents."""
    assert studies(found, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("StudyDate=20230101-20231231", [CT[0].study]),
        ("StudyDate=20230405-20230405", [CT[0].study]),
        ("StudyDate=20230406-", [MR.study]),
        ("StudyDate=20230405-", [MR.study, CT[0].study]),
        ("StudyDate=-20240101", [MR.study, CT[0].study]),
        ("StudyDate=-20231231", [CT[0].study]),
        ("StudyDate=-20230404", []),
        ("StudyDate=20230401-20240131", [MR.study, CT[0].study]),
        ("StudyDate=19000101-20991231", [MR.study, CT[0].study]),
        ("PatientBirthDate=19700101-19991231", [MR.study, CT[0].study]),
        ("PatientBirthDate=-19700101", [CT[0].study]),
        ("PatientBirthDate=19700102-", [MR.study]),
    ],
)
def test_date_ranges_include_both_ends(found: Archive, query: str, expected: list[str]) -> None:
    """Section 8.4; open to either side; newest first."""
    assert sorted(studies(found, query)) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("StudyDate=20230405&PatientID=PAT%201&ModalitiesInStudy=PT", [CT[0].study]),
        ("StudyDate=20230405&PatientID=PAT%202", []),
        ("PatientBirthDate=1970-&PatientID=x", None),
        ("AccessionNumber=ACC-1&StudyDate=20230101-20231231&PatientName=Muller^Jorg", [CT[0].study]),
        (f"StudyInstanceUID={CT_STUDY}&AccessionNumber=ACC-2", []),
        (f"StudyInstanceUID={CT_STUDY},{MR.study}&ModalitiesInStudy=MR", [MR.study]),
    ],
)
def test_all_keys_must_match(found: Archive, query: str, expected: list[str] | None) -> None:
    """Section 8.2: keys are joined by and, whichever of them the search starts from."""
    if expected is None:
        assert found.get(f"studies?{query}", JSON).status_code == 400
    else:
        assert studies(found, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "ModalitiesInStudy=CT,MR",
        "ModalitiesInStudy=CT%5CMR",
        "ModalitiesInStudy=CT%2CMR",
        "ModalitiesInStudy=CT&ModalitiesInStudy=MR",
        "ModalitiesInStudy=MR,CT,PT",
    ],
)
def test_lists_of_modalities_match_any(found: Archive, query: str) -> None:
    """Clients section 3.3, checklist 12: comma, backslash and repeats; each study once, newest first."""
    assert studies(found, query) == [MR.study, CT[0].study]


@pytest.mark.parametrize("separator", [",", "%5C", "%2C", "\\"])
def test_lists_of_uids_match_any(found: Archive, separator: str) -> None:
    """Clients section 2.1, checklist 13."""
    query = f"StudyInstanceUID={CT_STUDY}{separator}{BARE.study}{separator}{new_uid()}"

    assert sorted(studies(found, query)) == sorted([CT_STUDY, BARE.study])


def test_everything_comes_newest_first(found: Archive) -> None:
    """Section 8.8: studies by creation; later instances do not move them."""
    assert studies(found, "") == [BARE.study, MR.study, CT_STUDY]
    assert uids(found.search("series"), SERIES_UID) == [BARE.series, MR.series, PT.series, CT_SERIES]
    expected = [each.instance for each in (BARE, MR, PT, CT[1], CT[0])]
    assert uids(found.search("instances"), INSTANCE_UID) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Modality=CT", [CT_SERIES]),
        ("00080060=pt", [PT.series]),
        ("Modality=CT,PT", [PT.series, CT_SERIES]),
        ("ManufacturerModelName=Scanner%20X/1", [CT_SERIES]),
        ("ManufacturerModelName=magnet", [MR.series]),
        (f"SeriesInstanceUID={PT.series}", [PT.series]),
        (f"SeriesInstanceUID={PT.series},{MR.series}", [MR.series, PT.series]),
        ("PerformedProcedureStepStartDate=20230407", [PT.series]),
        ("PerformedProcedureStepStartDate=20230406-20230407", [PT.series, CT_SERIES]),
        ("PatientID=PAT%201", [PT.series, CT_SERIES]),
        ("PatientID=PAT%201&Modality=CT", [CT_SERIES]),
        ("StudyDate=20230405&ManufacturerModelName=Scanner+Y", [PT.series]),
        (f"StudyInstanceUID={CT_STUDY}", [PT.series, CT_SERIES]),
        ("ModalitiesInStudy=CT", [PT.series, CT_SERIES]),
        ("Modality=CT&PatientID=PAT+2", []),
    ],
)
def test_series_match_by_their_own_and_their_studys_attributes(
    found: Archive, query: str, expected: list[str]
) -> None:
    """Section 8.1, AllSeries."""
    assert sorted(uids(found.search(f"series?{query}"), SERIES_UID)) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"SOPInstanceUID={CT[1].instance}", [CT[1]]),
        (f"SOPInstanceUID={CT[1].instance},{MR.instance}", [MR, CT[1]]),
        (f"SOPInstanceUID={CT[1].instance}&PatientID=PAT+2", []),
        ("Modality=CT", [CT[1], CT[0]]),
        ("PatientID=PAT+1", [PT, CT[1], CT[0]]),
        (f"SeriesInstanceUID={CT_SERIES}&PatientID=PAT+1", [CT[1], CT[0]]),
        (f"StudyInstanceUID={MR.study}", [MR]),
        ("StudyDate=20240101", [MR]),
    ],
)
def test_instances_match_by_all_levels(found: Archive, query: str, expected: list[Instance]) -> None:
    """Section 8.1, AllInstances."""
    got = uids(found.search(f"instances?{query}"), INSTANCE_UID)

    assert sorted(got) == sorted(each.instance for each in expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"studies/{CT_STUDY}/series", [PT.series, CT_SERIES]),
        (f"studies/{CT_STUDY}/series?Modality=CT", [CT_SERIES]),
        (f"studies/{CT_STUDY}/series?Modality=MR", []),
        (f"studies/{CT_STUDY}/series?SeriesInstanceUID={PT.series}", [PT.series]),
        (f"studies/{CT_STUDY}/series?limit=1", [PT.series]),
        (f"studies/{CT_STUDY}/series?limit=1&offset=1", [CT_SERIES]),
        (f"studies/{CT_STUDY}/series?offset=2", []),
        (f"studies/{new_uid()}/series", []),
    ],
)
def test_the_series_of_a_study(found: Archive, path: str, expected: list[str]) -> None:
    """Section 8.1, StudySeries; an unknown study is an empty result."""
    assert uids(found.search(path), SERIES_UID) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"studies/{CT_STUDY}/instances", [PT, CT[1], CT[0]]),
        (f"studies/{CT_STUDY}/instances?Modality=CT", [CT[1], CT[0]]),
        (f"studies/{CT_STUDY}/instances?SOPInstanceUID={PT.instance}", [PT]),
        (f"studies/{CT_STUDY}/instances?limit=1&offset=1", [CT[1]]),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances", [CT[1], CT[0]]),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances?SOPInstanceUID={CT[0].instance}", [CT[0]]),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances?SOPInstanceUID={PT.instance}", []),
        (f"studies/{CT_STUDY}/series/{MR.series}/instances", []),
        (f"studies/{new_uid()}/instances", []),
    ],
)
def test_the_instances_of_a_study_or_series(found: Archive, path: str, expected: list[Instance]) -> None:
    """Section 8.1, StudyInstances and StudySeriesInstances."""
    assert uids(found.search(path), INSTANCE_UID) == [each.instance for each in expected]


STUDY_DEFAULT = {
    "0020000D",
    "00080020",
    "00081030",
    "00080050",
    "00080090",
    "00100010",
    "00100020",
    "00100030",
}
SERIES_DEFAULT = {"0020000E", "00080060", "00400244", "00081090"}
INSTANCE_DEFAULT = {"00080018"}

# What viewers and the standard need besides (clients section 3.3), as far as these files have it.
STUDY_MORE = {
    "00080030",
    "00080056",
    "00080061",
    "00081190",
    "00100040",
    "00200010",
    "00201206",
    "00201208",
}
SERIES_MORE = {"0008103E", "00081190", "00200011", "00201209"}
INSTANCE_MORE = {"00080016", "00080056", "00081190", "00200013"}
STUDY_ROW, SERIES_ROW = STUDY_DEFAULT | STUDY_MORE, SERIES_DEFAULT | SERIES_MORE
INSTANCE_ROW = INSTANCE_DEFAULT | INSTANCE_MORE


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"studies?StudyInstanceUID={MR.study}", STUDY_ROW),
        (f"series?StudyInstanceUID={MR.study}", STUDY_ROW | SERIES_ROW),
        (f"instances?StudyInstanceUID={MR.study}", STUDY_ROW | SERIES_ROW | INSTANCE_ROW),
        (f"studies/{MR.study}/series", {STUDY_UID} | SERIES_ROW),
        (f"studies/{MR.study}/instances", {STUDY_UID} | SERIES_ROW | INSTANCE_ROW),
        (f"studies/{MR.study}/series/{MR.series}/instances", {STUDY_UID, SERIES_UID} | INSTANCE_ROW),
    ],
)
def test_the_attributes_returned_by_default(found: Archive, path: str, expected: set[str]) -> None:
    """Section 8.7: the sets of the resource's levels and the UIDs of the path; what viewers need; ascending.

    Checklist 20 and 22: rows of searches over all studies tell of their study, rows of series name their
    study, rows of instances their series.
    """
    (dataset,) = found.search(path)

    assert set(dataset) == expected
    assert list(dataset) == sorted(dataset)


def test_v1_returns_other_attributes(found: Archive) -> None:
    """Section 8.7, last column, and what viewers need."""
    (dataset,) = found.as_version("v1").search(f"studies?StudyInstanceUID={MR.study}")

    expected = STUDY_DEFAULT - {"00081030"} | {"00080005", "00080030", "00100040", "00200010"}
    assert set(dataset) == expected | STUDY_MORE


def test_what_the_standard_demands_comes_even_without_a_value(found: Archive) -> None:
    """Checklist 10, PS3.18 table 10.6.3-3. Azure leaves out what has no value, as we do else."""
    (study,) = found.search(f"studies?StudyInstanceUID={BARE.study}")
    (series,) = found.search(f"studies/{BARE.study}/series")
    (instance,) = found.search(f"studies/{BARE.study}/instances?includefield=00081030")

    empty = {
        "00080020": "DA", "00080030": "TM", "00080050": "SH", "00080061": "CS", "00080090": "PN",
        "00100010": "PN", "00100030": "DA", "00100040": "CS", "00200010": "SH",
    }  # fmt: skip
    assert {tag: element["vr"] for tag, element in study.items() if set(element) == {"vr"}} == empty
    assert set(study) == STUDY_ROW - {"00081030"}
    assert (series["00080060"], series["00200011"]) == ({"vr": "CS"}, {"vr": "IS"})
    assert set(series) == {STUDY_UID, SERIES_UID, "00080060", "00200011", "00081190", "00201209"}
    assert instance["00200013"] == {"vr": "IS"}
    assert "00081030" not in instance


def test_values_are_those_of_the_file(found: Archive) -> None:
    """Section 8.7, PS3.18 annex F."""
    (dataset,) = found.search(f"series?SeriesInstanceUID={PT.series}")

    assert dataset["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Jörg"}]}
    assert dataset["00080020"] == {"vr": "DA", "Value": ["20230405"]}
    assert dataset["00081090"] == {"vr": "LO", "Value": ["Scanner Y"]}
    assert dataset[STUDY_UID] == {"vr": "UI", "Value": [CT_STUDY]}


@pytest.mark.parametrize(
    ("field", "tag"),
    [
        ("PatientAge", "00101010"),
        ("00101010", "00101010"),
        ("0010001f,00101010", "00101010"),
        ("PatientAge&includefield=Manufacturer", "00080070"),
        ("PatientAge,Manufacturer", "00080070"),
        ("PatientAge%2CManufacturer", "00080070"),
        ("00080070,PatientAge", "00101010"),
        ("0010101f&includefield=0018106b,00080070", "00080070"),
        ("IssuerOfPatientID", "00100021"),
        ("00111001", "00111001"),
    ],
)
def test_further_attributes_are_returned_when_named(found: Archive, field: str, tag: str) -> None:
    """Section 8.7, checklist 21: any tag, from the row or the representative dataset."""
    dataset = make_dataset(PatientAge="042Y", Manufacturer="Maker", IssuerOfPatientID="Here")
    dataset.private_block(0x0011, "TEST", create=True).add_new(1, "LO", "Private")
    image = as_instance(dataset)
    found_here = Archive.fresh(found.http, found.host)
    found_here.keep(image)

    (row,) = found_here.search(f"studies?includefield={field}")

    assert values(row, tag)
    assert set(row) >= STUDY_ROW


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("studies", "00080060,0008103E,SeriesNumber,0020000e,Rows,SOPClassUID,00201209"),
        ("series", "SOPClassUID,InstanceNumber,00280010,NumberOfFrames"),
        (f"studies/{CT_STUDY}/series", "SOPClassUID&includefield=InstanceNumber"),
    ],
)
def test_attributes_of_lower_levels_are_dropped(found: Archive, path: str, fields: str) -> None:
    """Clients section 3.3, checklist 21: neither refused nor answered; OHIF asks for Modality of studies."""
    plain = found.search(path)

    assert found.search(f"{path}?includefield={fields}") == plain


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [
        (f"studies/{CT_STUDY}/series?includefield=00100020", "00100020", ["PAT 1"]),
        (f"studies/{CT_STUDY}/instances?includefield=PatientID", "00100020", ["PAT 1"]),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances?includefield=Modality", "00080060", ["CT"]),
    ],
)
def test_attributes_of_higher_levels_are_returned_when_named(
    found: Archive, path: str, tag: str, expected: list[str]
) -> None:
    """Section 8.7; clients section 3.3: rows of series may carry attributes of the study."""
    for dataset in found.search(path):
        assert values(dataset, tag) == expected


def test_all_returns_the_whole_set_of_the_level(found: Archive) -> None:
    """Section 8.7; `all` wins over others (Q-13); computed attributes are not among it."""
    (plain,) = found.search(f"studies?StudyInstanceUID={MR.study}&includefield=all")
    (mixed,) = found.search(f"studies?StudyInstanceUID={MR.study}&includefield=PatientSex,all")

    assert set(plain) == STUDY_ROW | {"00080005"}
    assert mixed == plain


# The columns `all` and `v1 default` of table 8.7, without UIDs and what is always answered.
ALL_OF_STUDY = {
    "00080005", "00080063", "00081032", "00081060", "00081080", "00081110", "00080201",
    "00101010", "00101020", "00101030", "00102180", "001021B0",
}  # fmt: skip
ALL_OF_SERIES = {
    "00080005",
    "00080201",
    "0008103E",
    "00400245",
    "00400275",
    "00200060",
    "00080021",
    "00080031",
}
ALL_OF_INSTANCE = {"00080005", "00080201", "00280010", "00280011", "00280100", "00280008"}
V1_OF_STUDY = {"00080005", "00080201"}
V1_OF_SERIES = {"00080005", "00080201", "00400245", "00400275"}


@pytest.fixture(scope="module")
def full(service: Service, http: httpx.Client) -> Archive:
    """An archive of one instance that has every attribute of table 8.7."""
    item = Dicom()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "One"
    request = Dicom()
    request.ScheduledProcedureStepID = "STEP"
    of_study = Dicom()
    of_study.ReferencedSOPClassUID, of_study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", new_uid()
    archive = Archive.fresh(http, service.url)
    archive.keep(
        make(
            SpecificCharacterSet="ISO_IR 192",
            TimezoneOffsetFromUTC="+0100",
            AnatomicRegionsInStudyCodeSequence=[item],
            ProcedureCodeSequence=[item],
            NameOfPhysiciansReadingStudy="Who^Dr",
            AdmittingDiagnosesDescription="None",
            ReferencedStudySequence=[of_study],
            PatientAge="042Y",
            PatientSize="1.8",
            PatientWeight="80",
            Occupation="Cook",
            AdditionalPatientHistory="Much",
            SeriesDescription="Axial",
            PerformedProcedureStepStartDate="20240102",
            PerformedProcedureStepStartTime="1010",
            RequestAttributesSequence=[request],
            ManufacturerModelName="Scanner",
            Laterality="R",
            SeriesDate="20240102",
            SeriesTime="1011",
            Rows=1,
            Columns=1,
            BitsAllocated=8,
            NumberOfFrames=1,
        )
    )
    return archive


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("studies", STUDY_ROW | ALL_OF_STUDY),
        ("series", STUDY_ROW | SERIES_ROW | ALL_OF_STUDY | ALL_OF_SERIES),
        (
            "instances",
            STUDY_ROW | SERIES_ROW | INSTANCE_ROW | ALL_OF_STUDY | ALL_OF_SERIES | ALL_OF_INSTANCE,
        ),
        ("studies/{study}/series", {STUDY_UID} | SERIES_ROW | ALL_OF_SERIES),
        (
            "studies/{study}/instances",
            {STUDY_UID} | SERIES_ROW | INSTANCE_ROW | ALL_OF_SERIES | ALL_OF_INSTANCE,
        ),
        (
            "studies/{study}/series/{series}/instances",
            {STUDY_UID, SERIES_UID} | INSTANCE_ROW | ALL_OF_INSTANCE,
        ),
    ],
)
def test_all_is_the_column_of_the_table_at_every_resource(
    full: Archive, path: str, expected: set[str]
) -> None:
    """Section 8.7, column `all`; ManufacturerModelName of a series is among it (Q-14)."""
    (series,) = full.search("series")
    (study,), (uid,) = values(series, STUDY_UID), values(series, SERIES_UID)

    (dataset,) = full.search(f"{path.format(study=study, series=uid)}?includefield=all")

    assert set(dataset) == expected


def test_v1_has_its_column_of_the_table_below_studies(full: Archive) -> None:
    """Section 8.7, column `v1 default`."""
    (series,) = full.as_version("v1").search("series")
    (instance,) = full.as_version("v1").search("instances")

    assert set(series) >= V1_OF_STUDY | V1_OF_SERIES
    assert set(series).isdisjoint(ALL_OF_SERIES - V1_OF_SERIES - {"0008103E"})
    assert set(instance) == set(series) | INSTANCE_ROW | ALL_OF_INSTANCE


@pytest.mark.parametrize(
    "query",
    [
        "LIMIT=1&Offset=1&IncludeField=PatientAge&FuzzyMatching=True&PatientName=mu",
        "limit=1&offset=1&includefield=PatientAge&fuzzymatching=true&PatientName=mu",
    ],
)
def test_the_names_of_parameters_have_no_case(archive: Archive, query: str) -> None:
    """Section 8.2: but for those of attributes."""
    older, newer = make(PatientName="Muller", PatientAge="042Y"), make(PatientName="Muller")
    for each in (older, newer):
        archive.keep(each)

    (dataset,) = archive.search(f"studies?{query}")

    assert values(dataset, STUDY_UID) == [older.study]
    assert values(dataset, "00101010") == ["042Y"]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("00080061", ["CT", "PT"]), ("00201206", [2]), ("00201208", [3]), ("00080056", ["ONLINE"])],
)
def test_computed_attributes_are_returned_named_or_not(
    found: Archive, tag: str, expected: list[object]
) -> None:
    """Section 8.7, computed attributes, modalities sorted. OHIF shows nothing where they lack."""
    query = f"studies?StudyInstanceUID={CT_STUDY}"
    plain, named = found.search(query)[0], found.search(f"{query}&includefield={tag}")[0]

    assert values(plain, tag) == expected
    assert named == plain


def test_counts_of_a_study_stay_out_of_the_rows_of_its_series(found: Archive) -> None:
    """Section 8.7: at StudySeries a computed attribute of the study is ignored; at AllSeries both come."""
    within = found.search(f"studies/{CT_STUDY}/series?includefield=00201208,00201209")
    across = found.search(f"series?StudyInstanceUID={CT_STUDY}")

    assert all("00201208" not in dataset for dataset in within)
    assert [values(dataset, "00201209") for dataset in within] == [[1], [2]]
    assert [values(dataset, "00201209") for dataset in across] == [[1], [2]]
    assert [values(dataset, "00201208") for dataset in across] == [[3], [3]]


def test_the_availability_a_file_tells_of_comes_as_it_is(archive: Archive) -> None:
    """Section 8.7: as Azure answers; only where a file says nothing it is computed."""
    archive.keep(make(InstanceAvailability="NEARLINE"))

    (study,) = archive.search("studies")

    assert values(study, "00080056") == ["NEARLINE"]


def test_a_modality_that_was_asked_for_is_returned(found: Archive) -> None:
    """Section 8.7: match attributes come back."""
    (dataset,) = found.search("studies?ModalitiesInStudy=PT")

    assert values(dataset, "00080061") == ["CT", "PT"]


def test_every_row_names_the_resource_it_tells_of(found: Archive) -> None:
    """Checklist 20; RetrieveURL has the partition (section 1.10)."""
    (series,) = found.search(f"series?SeriesInstanceUID={CT_SERIES}")
    (instance,) = found.search(f"instances?SOPInstanceUID={PT.instance}")
    (study,) = found.search(f"studies?StudyInstanceUID={MR.study}")

    assert values(series, "00201209") == [2]
    assert values(series, "00081190") == [found.url(CT[0].series_path)]
    assert values(instance, "00081190") == [found.url(PT.path)]
    assert values(study, "00081190") == [found.url(f"studies/{MR.study}")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=1", [BARE.study]),
        ("limit=1&offset=1", [MR.study]),
        ("limit=2&offset=1", [MR.study, CT_STUDY]),
        ("offset=2", [CT_STUDY]),
        ("offset=3", []),
        ("offset=1000000", []),
        ("limit=0", []),
        ("limit=200", [BARE.study, MR.study, CT_STUDY]),
        ("Limit=1&OFFSET=2", [CT_STUDY]),
        ("limit=5000", [BARE.study, MR.study, CT_STUDY]),
        ("limit=1000000000", [BARE.study, MR.study, CT_STUDY]),
    ],
)
def test_limit_and_offset_cut_a_page(found: Archive, query: str, expected: list[str]) -> None:
    """Sections 8.2 and 8.8, checklist 16: nothing left is 204; a high limit is lowered, not refused."""
    assert studies(found, query) == expected


def test_a_lowered_limit_is_told(found: Archive) -> None:
    """Clients section 3.2: the ceiling and a warning. Its agent is the host and a colon (section 1.4)."""
    answer = found.get("studies?limit=1000000", JSON)

    assert answer.status_code == 200
    assert answer.headers["Warning"] == '299 127.0.0.1: "The limit was lowered to 5000."'


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=", "limit=1.5", "limit=1&limit=2"])
def test_a_wrong_limit_is_refused(found: Archive, query: str) -> None:
    """Section 8.6, L-07: names the parameter and the range."""
    answer = found.get(f"studies?{query}", JSON)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text.startswith("The query parameter 'Limit' is invalid. The field Limit must be between ")


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "offset=99999999999", "offset=1e3"])
def test_a_wrong_offset_is_refused(found: Archive, query: str) -> None:
    """Section 8.6."""
    answer = found.get(f"studies?{query}", JSON)

    assert answer.status_code == 400
    assert "'Offset'" in answer.text


@pytest.mark.parametrize(
    "value", ["NotAValidStudyDate", "20230230", "2023", "202304051", "2023-04-05x", "-", "20231301"]
)
def test_an_impossible_date_is_refused(found: Archive, value: str) -> None:
    """Section 8.4, L-05."""
    answer = found.get(f"studies?StudyDate={value}", JSON)

    assert answer.status_code == 400
    expected = (
        f"Invalid query: specified Date value '{value}' is invalid for attribute 'StudyDate'. "
        "Date should be valid and formatted as yyyyMMdd."
    )
    assert expected in answer.text


def test_a_range_that_ends_before_it_begins_is_refused(found: Archive) -> None:
    """Section 8.4."""
    assert found.get("studies?StudyDate=20240102-20240101", JSON).status_code == 400


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("studies", "Modality"),
        ("studies", "SeriesInstanceUID"),
        ("studies", "patientname"),
        ("studies", "NoSuchKeyword"),
        ("studies", "00100099"),
        ("studies", "TimezoneOffsetFromUTC"),
        ("studies", "00080201"),
        ("studies", "PatientWeight"),
        ("studies", "SeriesNumber"),
        ("series", "InstanceNumber"),
        ("series", "SOPInstanceUID"),
        (f"studies/{CT_STUDY}/series", "PatientName"),
        (f"studies/{CT_STUDY}/series", "StudyInstanceUID"),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances", "SeriesInstanceUID"),
        (f"studies/{CT_STUDY}/series/{CT_SERIES}/instances", "Modality"),
        (f"studies/{CT_STUDY}/instances", "StudyDate"),
        ("studies", "RequestAttributesSequence.ScheduledProcedureStepID"),
        ("series", "ScheduledProcedureStepID"),
        ("series", "RequestAttributesSequence"),
        ("series", "RequestAttributesSequence.ScheduledProcedureStepDescription"),
        ("studies", "(0010,0010)"),
    ],
)
def test_an_attribute_that_cannot_be_searched_here_is_refused(found: Archive, path: str, key: str) -> None:
    """Section 8.6, L-06 with the id as sent."""
    answer = found.get(f"{path}?{key}=1", JSON)

    assert answer.status_code == 400
    expected = (
        f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, "
        "check the casing as they are case-sensitive. The conformance statement has a list of supported "
        "query parameters, attributes and the levels."
    )
    assert answer.text == expected


@pytest.mark.parametrize(
    "query",
    [
        "PatientID=",
        "PatientID=%20%20",
        "PatientID",
        "StudyInstanceUID=,",
        "PatientID=1&PatientID=2",
        "PatientID=1&00100020=2",
        "includefield=NoSuchKeyword",
        "includefield=0010",
        "fuzzymatching=maybe",
        "PatientName=%FF",
    ],
)
def test_other_wrong_queries_are_refused(found: Archive, query: str) -> None:
    """Sections 8.4 and 8.6."""
    answer = found.get(f"studies?{query}", JSON)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_nothing_found_is_204(found: Archive) -> None:
    """Section 8.9."""
    answer = found.get("studies?PatientID=nobody", JSON)

    assert answer.status_code == 204
    assert answer.content == b""


def test_an_empty_archive_answers_204(archive: Archive) -> None:
    """Section 8.9, for a partition whose only store was refused."""
    archive.store(b"no DICOM")

    for path in ("studies", "series", "instances"):
        assert archive.get(path, JSON).status_code == 204


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "application/*", "application/dicom+json, application/json", "text/html, */*;q=0.1"],
)
def test_json_is_given_to_whoever_takes_it(found: Archive, accept: str | None) -> None:
    """Section 8.1."""
    answer = found.get("studies", accept)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON


@pytest.mark.parametrize("accept", ["application/dicom", "image/png", "text/html"])
def test_other_types_are_406(found: Archive, accept: str) -> None:
    """Section 8.1."""
    assert found.get("studies", accept).status_code == 406


@pytest.mark.parametrize(
    "path", ["studies/x/series", "studies/x/instances", "studies/1.2/series/x/instances"]
)
def test_a_malformed_uid_in_the_path_is_400(found: Archive, path: str) -> None:
    """Section 8.1."""
    assert found.get(path, JSON).status_code == 400


@pytest.mark.parametrize("stray", ["_=123", "&", "&x=y", "accept=*", "t=5", "code=secret"])
def test_stray_parameters_are_ignored(found: Archive, stray: str) -> None:
    """Checklist 8b."""
    assert len(found.search(f"studies?{stray}")) == 3


def test_an_odd_key_of_slim_is_ignored_with_a_warning(found: Archive) -> None:
    """Checklist 15."""
    answer = found.get("studies?PersonName=x", JSON)

    assert answer.status_code == 200
    assert "PersonName" in answer.headers["Warning"]


def test_pages_cover_everything_once(archive: Archive) -> None:
    """Section 8.8: page by page, in one order, whatever leads the search."""
    study, series = new_uid(), new_uid()
    instances = [make(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(25)]
    others = [make(Modality="US") for _ in range(10)]
    archive.keep(*instances, *others)

    for path, tag, total in (
        (f"studies/{study}/instances?", INSTANCE_UID, 25),
        ("instances?Modality=OT", INSTANCE_UID, 25),
        ("studies?", STUDY_UID, 11),
        ("series?Modality=US", SERIES_UID, 10),
        ("studies?PatientID=P1", STUDY_UID, 11),
    ):
        paged: list[Dataset] = []
        while page := archive.search(f"{path}&limit=4&offset={len(paged)}"):
            paged += page
        whole = archive.search(f"{path}&limit=1000")
        assert uids(paged, tag) == uids(whole, tag)
        assert len(set(uids(paged, tag))) == total


def test_the_default_limit_is_100(archive: Archive) -> None:
    """Section 8.2."""
    study = new_uid()
    archive.keep(*(make(StudyInstanceUID=study) for _ in range(105)))

    assert len(archive.search("instances")) == 100
    assert len(archive.search("instances?offset=100")) == 5


def test_wild_cards_are_followed(archive: Archive) -> None:
    """Q-12, checklist 11: what Azure finds by taking them literally is found as well."""
    archive.keep(make(PatientName="Doe^Jane"), make(PatientName="*Doe*"), make(PatientName="Roe^Jane"))

    assert len(archive.search("studies?PatientName=*Doe*")) == 2
    assert len(archive.search("studies?PatientID=P?")) == 3
    assert len(archive.search("studies?PatientID=P??")) == 0


def test_a_search_costs_few_storage_calls(archive: Archive) -> None:
    """Design promise 4: one page of one table, and two calls for each study to count what it has.

    At rest it is one: then the anchors of its series know.
    """
    archive.keep(*(make() for _ in range(20)))
    # The first search of all that has another page makes the key of cursors, and the table that it lies in.
    archive.get("studies?limit=1", JSON)

    answer = archive.get("studies?limit=10&PatientID=P1", JSON)

    calls, _, rows = answer.headers["x-storage-calls"].partition("; rows=")
    assert int(calls) <= 2 + 2 * 10
    assert 10 <= int(rows) <= 200


def test_values_from_implicit_vr_are_found(archive: Archive) -> None:
    """Section 3.4 row 5: indexed like any other."""
    archive.keep(make(IMPLICIT, AccessionNumber="IMPL"))

    assert len(archive.search("studies?AccessionNumber=IMPL")) == 1


def test_odd_text_can_be_searched(archive: Archive) -> None:
    """Section 8.4: text with everything that means something in keys, filters and URLs."""
    text = "a'b/c#d?e%f=g&h|i~j+k"
    quoted = "a%27b%2Fc%23d%3Fe%25f%3Dg%26h%7Ci~j%2Bk"
    archive.keep(make(StudyDescription=text), make(StudyDescription=text + "x"))

    (found_here,) = archive.search(f"studies?StudyDescription={quoted}")

    assert values(found_here, "00081030") == [text]


def test_long_text_can_be_searched(archive: Archive) -> None:
    """Text longer than a row key may be: found by the whole of it, not by its beginning."""
    text = "ä" * 64
    archive.keep(make(SpecificCharacterSet="ISO_IR 192", StudyDescription=text))

    assert len(archive.search("studies?StudyDescription=" + "%C3%A4" * 64)) == 1
    assert len(archive.search("studies?StudyDescription=" + "%C3%A4" * 63)) == 0
