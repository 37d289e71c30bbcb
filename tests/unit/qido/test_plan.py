"""Which rows a search reads: the key that likely leaves fewest leads."""

import itertools

import pytest

from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.match import make_matches
from shared.qido.plan import MOST_TERMS, Lead, Plan, make_plan
from shared.qido.ranges import TextRange
from shared.storage import index_keys, keys, terms
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow, Values
from shared.web.query import parse_search

STUDY, SERIES, INSTANCE = SearchLevel
LEVELS = {STUDY: (STUDY,), SERIES: (STUDY, SERIES), INSTANCE: (STUDY, SERIES, INSTANCE)}


def plan(query: str, level: SearchLevel = STUDY) -> Plan:
    """The plan of a query string."""
    request = parse_search(query, parse_tag)
    return make_plan("p", level, make_matches(request.filters, LEVELS[level], fuzzy=request.fuzzy))


@pytest.mark.parametrize(
    ("level", "query", "lead", "table"),
    [
        (STUDY, "", Lead.STUDIES, "studies"),
        (STUDY, "StudyDescription=x", Lead.STUDIES, "studiesByStudyDescription"),
        (STUDY, "ModalitiesInStudy=CT&PatientID=1", Lead.STUDIES, "studiesByPatientId"),
        (STUDY, "StudyDate=20240101&AccessionNumber=1", Lead.STUDIES, "studiesByAccessionNumber"),
        (STUDY, "ModalitiesInStudy=CT&StudyDate=20240101-", Lead.STUDIES, "studiesByStudyDate"),
        (STUDY, "ModalitiesInStudy=CT", Lead.STUDIES, "studiesByModality"),
        (STUDY, "StudyID=1&PatientName=a", Lead.STUDIES, "studiesByStudyId"),
        (STUDY, "StudyTime=10-11", Lead.STUDIES, "studies"),
        (STUDY, "PatientSex=F&IssuerOfPatientID=x", Lead.STUDIES, "studiesByIssuerOfPatientId"),
        (STUDY, "PatientSex=F&StudyTime=10-11", Lead.STUDIES, "studiesByPatientSex"),
        (STUDY, "PatientSex=F&ModalitiesInStudy=CT", Lead.STUDIES, "studiesByModality"),
        (STUDY, "PatientName=*", Lead.STUDIES, "studies"),
        (STUDY, "StudyDate=20240101-20240131&StudyDescription=x", Lead.STUDIES, "studiesByStudyDate"),
        (STUDY, "StudyDate=20240101-20240201&StudyDescription=x", Lead.STUDIES, "studiesByStudyDescription"),
        (
            STUDY,
            "StudyDate=-20240131&ReferringPhysicianName=x",
            Lead.STUDIES,
            "studiesByReferringPhysicianName",
        ),
        (STUDY, "StudyDate=20240101&PatientBirthDate=19800101-19901231", Lead.STUDIES, "studiesByStudyDate"),
        (STUDY, "StudyDate=20240101&PatientBirthDate=19800101", Lead.STUDIES, "studiesByPatientBirthDate"),
        (STUDY, "StudyDate=20000101-&PatientBirthDate=19800101-19901231", Lead.STUDIES, "studiesByStudyDate"),
        (SERIES, "", Lead.SERIES, "series"),
        (SERIES, "Modality=CT", Lead.SERIES, "seriesByModality"),
        (SERIES, "Modality=CT&StudyDate=20240101", Lead.STUDIES, "studiesByStudyDate"),
        (SERIES, "ModalitiesInStudy=CT", Lead.STUDIES, "studiesByModality"),
        (SERIES, "ModalitiesInStudy=CT&Modality=CT", Lead.SERIES, "seriesByModality"),
        (SERIES, "ManufacturerModelName=x&Modality=CT", Lead.SERIES, "seriesByManufacturerModelName"),
        (SERIES, "SeriesInstanceUID=1.2&PatientID=1", Lead.SERIES, "seriesByUid"),
        (
            SERIES,
            "RequestAttributesSequence.RequestedProcedureID=1&PatientName=a",
            Lead.SERIES,
            "seriesByRequestedProcedureId",
        ),
        (SERIES, "00400275.00400009=1&Modality=CT", Lead.SERIES, "seriesByScheduledProcedureStepId"),
        (SERIES, "SeriesDescription=x&Modality=CT", Lead.SERIES, "seriesBySeriesDescription"),
        (SERIES, "SeriesDate=20240101&ModalitiesInStudy=CT", Lead.SERIES, "seriesBySeriesDate"),
        (INSTANCE, "", Lead.SERIES, "series"),
        (INSTANCE, "SOPInstanceUID=1.2&PatientID=1", Lead.INSTANCES, "instancesByUid"),
        (INSTANCE, "SOPInstanceUID=1.2&SeriesInstanceUID=1", Lead.INSTANCES, "instancesByUid"),
        (INSTANCE, "PatientID=1&Modality=CT", Lead.STUDIES, "studiesByPatientId"),
        (INSTANCE, "Modality=CT", Lead.SERIES, "seriesByModality"),
    ],
)
def test_the_rarest_key_leads(level: SearchLevel, query: str, lead: Lead, table: str) -> None:
    """In the order of the tables in `storage/terms.py`; a UID before all."""
    made = plan(query, level)

    assert made.lead is lead
    assert [scan.table for scan in made.scans] == [table]


@pytest.mark.parametrize("level", SearchLevel)
def test_a_named_study_needs_no_scan(level: SearchLevel) -> None:
    """Its rows are in one partition of the archive."""
    made = plan("StudyInstanceUID=1.2,1.3&PatientID=1", level)

    assert made.scans == ()
    assert made.studies == ("1.2", "1.3")


def test_every_key_is_checked_again_on_what_is_found() -> None:
    """The leading one too: a row may be out of date, and a date may lead by its month only."""
    made = plan("StudyDate=20240101-20240131&PatientID=1&ModalitiesInStudy=CT")

    assert {match.attribute.keyword for match in made.rest} == {"StudyDate", "PatientID", "ModalitiesInStudy"}


def test_a_list_has_a_scan_for_each_value() -> None:
    """Each is one range of keys."""
    made = plan("Modality=CT,MR,PT", SERIES)

    assert len({scan.filter for scan in made.scans}) == 3


@pytest.mark.parametrize(("length", "table"), [(MOST_TERMS, "seriesByModality"), (MOST_TERMS + 1, "series")])
def test_a_long_list_leads_nowhere(length: int, table: str) -> None:
    """Each value would be a range to read, and all of them together are nearly everything."""
    made = plan("Modality=" + ",".join(f"M{number}" for number in range(length)), SERIES)

    assert {scan.table for scan in made.scans} == {table}
    assert "00080060" in {match.attribute.tag for match in made.rest}


VALUES: Values = {
    "00080020": {"vr": "DA", "Value": ["20240131"]},
    "00080050": {"vr": "SH", "Value": ["A'1/2#"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Röntgen^W"}]},
    "00081030": {"vr": "LO", "Value": ["ä" * 64]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": [" p|1~ "]},
    "00100030": {"vr": "DA", "Value": ["19800102"]},
}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "StudyDate=20240131",
        "StudyDate=20240101-20240131",
        "StudyDate=20230601-20240201",
        "StudyDate=-20240131",
        "StudyDate=20240131-",
        "AccessionNumber=a%271/2%23",
        "ModalitiesInStudy=mr",
        "ReferringPhysicianName=rontgen^w",
        "StudyDescription=" + "%C3%84" * 64,
        "PatientName=DOE^JANE",
        "PatientID=P%7C1~",
        "PatientBirthDate=-19991231",
    ],
)
def test_a_plan_reads_the_row_that_the_index_writes(query: str) -> None:
    """The two sides of the search tables agree: the row lies in the range, and nothing near it does."""
    (scan,) = plan(query).scans
    rows = terms.study_rows(StudyKey("p", "1.2"), LevelRow(7, 7, VALUES, ""))
    (where,) = [where for where in rows if where.table == scan.table and lies_in(scan.filter, where)]

    assert not lies_in(scan.filter, terms.IndexKey(where.table, "o" + where.partition[1:], where.row))
    assert not lies_in(scan.filter, terms.IndexKey(where.table, "q" + where.partition[1:], where.row))


TEXTS: Values = {
    "00080050": {"vr": "SH", "Value": ["ACC-0042/7"]},
    "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Röntgen^Wilhelm Conrad"}]},
    "00081030": {"vr": "LO", "Value": ["MR Schädel nativ + KM"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou^^", "Ideographic": "山田^太郎"}]},
    "00100020": {"vr": "LO", "Value": ["p|1~x"]},
    "00200010": {"vr": "SH", "Value": ["4711"]},
}


@pytest.mark.parametrize(
    ("query", "tables", "piece"),
    [
        ("PatientName=yam*", ["studiesByPatientName"], "yam"),
        ("PatientName=y*", ["studiesByPatientName"], "y"),
        ("PatientName=*AMA*", ["studiesByPatientName", "endsOfPatientName"], "ama"),
        ("PatientName=*tarou", ["studiesByPatientName", "endsOfPatientName"], "tarou=03"),
        ("PatientName=y*ta*ou", ["studiesByPatientName", "endsOfPatientName"], "ou=03"),
        ("PatientName=yam?da*", ["studiesByPatientName"], "yam"),
        ("PatientName=*%5Etar*", ["studiesByPatientName", "endsOfPatientName"], "tar"),
        ("PatientName=*%E5%A4%AA*", ["studiesByPatientName", "endsOfPatientName"], "=E5=A4=AA"),
        ("PatientName=*tarou%5E%5E%3D%E5%B1%B1*", ["studiesByPatientName", "endsOfPatientName"], "tarou"),
        ("PatientName=tar&fuzzymatching=true", ["studiesByPatientName", "endsOfPatientName"], "tar"),
        ("PatientName=yam ta&fuzzymatching=true", ["studiesByPatientName", "endsOfPatientName"], "yam"),
        (
            "ReferringPhysicianName=*CONRAD*",
            ["studiesByReferringPhysicianName", "endsOfReferringPhysicianName"],
            "conrad",
        ),
        (
            "StudyDescription=*sch%C3%A4d*",
            ["studiesByStudyDescription", "endsOfStudyDescription"],
            "sch=C3=A4d",
        ),
        ("StudyDescription=mr*", ["studiesByStudyDescription"], "mr"),
        ("AccessionNumber=*0042*", ["studiesByAccessionNumber", "endsOfAccessionNumber"], "0042"),
        ("AccessionNumber=*2/7", ["studiesByAccessionNumber", "endsOfAccessionNumber"], "2=2F7=03"),
        ("PatientID=p|1~*", ["studiesByPatientId"], "p=7C1~"),
        ("StudyID=?71?", ["studiesByStudyId", "endsOfStudyId"], "71"),
        ("PatientID=*x&PatientName=*yam*", ["studiesByPatientName", "endsOfPatientName"], "yam"),
    ],
)
def test_a_piece_of_a_text_leads(query: str, tables: list[str], piece: str) -> None:
    """The longest, as it is the rarest; the ranges hold the row of a study that has it, and nothing near."""
    text = plan(query).text

    assert text is not None
    assert [each.table for each in text.ranges] == tables
    assert {each.partition for each in text.ranges} == {f"p|{piece}"}
    rows = terms.study_rows(StudyKey("p", "1.2"), LevelRow(7, 7, TEXTS, ""))
    assert any(lies_in_text(each, where) for each in text.ranges for where in rows)
    for name in ("o", "p1", "p-", "q"):
        rows = terms.study_rows(StudyKey(name, "1.2"), LevelRow(7, 7, TEXTS, ""))
        assert not any(lies_in_text(each, where) for each in text.ranges for where in rows)


def lies_in_text(text: TextRange, where: terms.IndexKey) -> bool:
    """Whether a row is one of those of a text."""
    return where.table == text.table and lies_in(text.filter_newest(""), where)


@pytest.mark.parametrize(
    "query", ["PatientName=*a*", "PatientName=*%5E*", "PatientName=??", "PatientName=*a"]
)
def test_what_nearly_every_text_has_leads_nowhere(query: str) -> None:
    """One letter, a separator, a length alone: such studies are soon found among all."""
    made = plan(query)

    assert made.text is None
    assert [scan.table for scan in made.scans] == ["studies"]


@pytest.mark.parametrize(
    ("level", "query", "tables"),
    [
        (STUDY, "PatientName=*doe*", []),
        (STUDY, "PatientName=*doe*&ModalitiesInStudy=CT", []),
        (STUDY, "PatientName=*doe*&StudyDate=20240101-", []),
        (STUDY, "PatientName=*doe*&StudyDate=20240101-20240201", []),
        (STUDY, "PatientName=*doe*&StudyDate=20240101-20240131", ["studiesByStudyDate"]),
        (STUDY, "PatientID=*00042*&StudyDate=20240101", ["studiesByStudyDate"]),
        (STUDY, "PatientName=*doe*&PatientBirthDate=19800101-19800131", ["studiesByPatientBirthDate"]),
        (STUDY, "PatientName=*doe*&ReferringPhysicianName=x", ["studiesByReferringPhysicianName"]),
        (STUDY, "PatientName=*doe*&StudyDescription=x", ["studiesByStudyDescription"]),
        (SERIES, "PatientName=*doe*", []),
        (SERIES, "PatientName=*doe*&SeriesDescription=x", []),
        (SERIES, "PatientName=*doe*&SeriesDate=20240101", ["seriesBySeriesDate"]),
        (INSTANCE, "PatientName=*doe*&Modality=CT", []),
    ],
)
def test_what_leads_where_a_text_is_common(level: SearchLevel, query: str, tables: list[str]) -> None:
    """A few days or a whole value of a study; or else the text, row by row."""
    made = plan(query, level)

    assert made.text is not None
    assert made.text.lead is Lead.STUDIES
    assert [scan.table for scan in made.scans] == tables
    assert made.lead is (Lead.SERIES if tables == ["seriesBySeriesDate"] else Lead.STUDIES)


@pytest.mark.parametrize(
    ("query", "leads"),
    [
        ("PatientID=1&PatientName=*doe*", False),
        ("StudyInstanceUID=1.2&PatientName=*doe*", False),
        ("PatientBirthDate=19800101&PatientName=*doe*", False),
        ("PatientBirthDate=19800101-19800102&PatientName=*doe*", True),
        ("StudyDate=20240101&PatientName=*doe*", True),
    ],
)
def test_a_whole_value_leads_before_a_piece(query: str, *, leads: bool) -> None:
    """So does one date of birth, which few patients share; a study date has hundreds of patients."""
    assert (plan(query).text is not None) is leads


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Modality=CT", True),
        ("Modality=C*,MR", True),
        ("Modality=*", False),
        ("Modality=&emptyvaluematching=true", False),
        ("SeriesNumber=1", False),
    ],
)
def test_a_study_without_the_modality_is_not_looked_into(query: str, *, expected: bool) -> None:
    """It has no such series."""
    matches = plan(f"{query}&StudyDate=20240101", SERIES).rest

    assert any(match.attribute.keyword == "ModalitiesInStudy" for match in matches) is expected
    values: Values = {"00080061": {"vr": "CS", "Value": ["CT", "SR"]}}
    assert all(match.accepts(values) for match in matches if match.attribute.keyword == "ModalitiesInStudy")


def test_a_text_is_read_from_any_place_on() -> None:
    """What stands at a place or behind it, in order: no row twice, and none before."""
    text = plan("PatientName=*an*").text
    assert text is not None
    rows = []
    for number, name in enumerate(("An", "Ana^Nan", "Ana^Nan", "Hannah^Anna", "Ian", "Jan^Stan=Xan")):
        alphabetic, _, ideographic = name.partition("=")
        groups = {"Alphabetic": alphabetic, **({"Ideographic": ideographic} if ideographic else {})}
        values: Values = {"00100010": {"vr": "PN", "Value": [groups]}}
        level = LevelRow(7 + number, 7 + number, values, "")
        rows += [
            (place, where)
            for where in terms.study_rows(StudyKey("p", f"1.2.{number}"), level)
            for each in text.ranges
            for place in each.places([where])
        ]
    rows.sort()
    tables = [where.table for _, where in rows]

    assert tables == sorted(tables, reverse=True)
    assert len(rows) == 10
    for at, (first, _) in enumerate(rows):
        found = [
            place
            for each in text.ranges
            for condition in each.filters_from(first)
            for place, where in rows
            if where.table == each.table and lies_in(condition, where)
        ]
        assert found == [place for place, _ in rows[at:]]


def test_a_series_is_found_by_how_its_text_begins() -> None:
    """Series have no tables of ends: a piece further in leads nowhere."""
    begins, has = plan("ManufacturerModelName=scan*", SERIES), plan("ManufacturerModelName=*scan*", SERIES)

    assert begins.text is not None
    assert begins.text.lead is Lead.SERIES
    assert [each.table for each in begins.text.ranges] == ["seriesByManufacturerModelName"]
    assert has.text is None


def test_a_scan_goes_on_behind_a_row() -> None:
    """In the partition of that row and later ones: those before are not read again."""
    (scan,) = plan("StudyDate=20230601-20240201").scans
    rows = {}
    for date in ("20240115", "20231231", "20230601"):
        values: Values = {"00080020": {"vr": "DA", "Value": [date]}}
        found = terms.study_rows(StudyKey("p", "1.2"), LevelRow(7, 7, values, ""))
        rows[date] = next(where for where in found if where.table == scan.table)

    behind = scan.filter_from(rows["20231231"].row + index_keys.BEHIND)

    assert [date for date, where in rows.items() if lies_in(behind, where)] == ["20230601"]
    assert lies_in(scan.filter_from(rows["20231231"].row), rows["20231231"])


@pytest.mark.parametrize("date", ["20240130", "20240201", "20230131", "20250131", "20240301"])
def test_a_date_beside_the_range_is_not_read(date: str) -> None:
    """By month in partitions, by day in keys."""
    (scan,) = plan("StudyDate=20240131").scans
    values: Values = {"00080020": {"vr": "DA", "Value": [date]}}
    rows = terms.study_rows(StudyKey("p", "1.2"), LevelRow(7, 7, values, ""))

    assert not any(lies_in(scan.filter, where) for where in rows if where.table == scan.table)


def test_partitions_whose_names_begin_alike_are_kept_apart() -> None:
    """`p` must not see `p1` or `p-1`, in any table."""
    for query, level in itertools.product(("", "PatientID=1", "StudyDate=-20240101"), (STUDY, SERIES)):
        (scan,) = plan(query, level).scans
        for name in ("p1", "p-1", "p.", "p_", "o", "q", "0"):
            key = StudyKey(name, "1.2")
            row = LevelRow(7, 7, {**VALUES, "00100020": {"vr": "LO", "Value": ["1"]}}, "")
            rows = {**terms.study_rows(key, row), **terms.series_rows(key, "1.3", row)}
            assert not any(lies_in(scan.filter, where) for where in rows if where.table == scan.table)


def lies_in(filter_text: str, where: terms.IndexKey) -> bool:
    """Apply a filter to a key as Table storage would: terms joined by `and`, text compared by code point."""
    sides = {"PartitionKey": where.partition, "RowKey": where.row}
    return all(holds(condition, sides) for condition in split(filter_text))


def split(filter_text: str) -> list[str]:
    """Its conditions; `and` within a quoted text is none."""
    found, rest = [], filter_text
    while rest:
        name, operator, text = rest.split(" ", 2)
        assert text.startswith("'")
        at = 1
        while text[at] != "'" or text[at : at + 2] == "''":
            at += 2 if text[at] == "'" else 1
        found.append(f"{name} {operator} {text[: at + 1]}")
        rest = text[at + 1 :].removeprefix(" and ")
    return found


def holds(condition: str, sides: dict[str, str]) -> bool:
    """Whether one comparison is true."""
    name, operator, quoted = condition.split(" ", 2)
    value, wanted = sides[name], quoted[1:-1].replace("''", "'")
    return {
        "eq": value == wanted,
        "ge": value >= wanted,
        "gt": value > wanted,
        "le": value <= wanted,
        "lt": value < wanted,
    }[operator]


def test_newest_comes_first_in_every_range() -> None:
    """API rules section 8.8: the order of keys is the order of arrival, turned round."""
    values: Values = {tag: {"vr": "LO", "Value": ["1"]} for tag in ("00100020", "00081030")}
    tables: dict[str, list[tuple[str, str, int]]] = {}
    for created in (1 << 50, (1 << 50) + 1, 1 << 55, 1 << 60, (1 << 60) + (1 << 45)):
        for where in terms.study_rows(StudyKey("p", "1.2"), LevelRow(created, created, values, "")):
            tables.setdefault(where.table, []).append((where.partition, where.row, created))

    for found in tables.values():
        assert [created for *_, created in sorted(found)] == sorted((c for *_, c in found), reverse=True)
    assert set(tables) == {"studies", "studiesByPatientId", "studiesByStudyDescription"}


def test_an_unusual_partition_name_is_part_of_the_key() -> None:
    """Names may hold dots, hyphens and underscores."""
    made = make_plan("a.b-c_d", STUDY, ())

    assert keys.AFTER in made.scans[0].filter
    assert "a.b-c_d|" in made.scans[0].filter
