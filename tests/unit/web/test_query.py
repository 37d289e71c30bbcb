"""Query strings of searches, as real clients send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest
from shared.web.query import Filter, SearchRequest, parse_search, refuse_markup

KEYWORDS = {
    "PatientName": "00100010",
    "PatientID": "00100020",
    "StudyDate": "00080020",
    "StudyDescription": "00081030",
    "ModalitiesInStudy": "00080061",
    "Modality": "00080060",
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "AccessionNumber": "00080050",
    "KVP": "00180060",
    "a.b": "00000000",
    "(0010,0010)": "00100010",
}


def find_tag(text: str) -> str | None:
    return KEYWORDS.get(text) or (text.upper() if text.upper() in KEYWORDS.values() else None)


def search(query: str) -> SearchRequest:
    return parse_search(query, find_tag)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&",
        "&&",
        "=",
        "=x",
        "_=123",
        "t=1",
        "_",
        "accept=*",
        "Accept=application/json",
        "code=abc==",
        "v=",
    ],
)
def test_what_is_not_about_the_search_changes_nothing(query: str) -> None:
    """Clients checklist 8b; PS3.18 section 8.3."""
    assert search(query) == SearchRequest()


def test_the_study_list_of_ohif_is_understood() -> None:
    request = search(
        "limit=101&offset=202&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
        "&PatientName=*Doe%5EJ*&00100020=*1*&ModalitiesInStudy=CT%2CMR&StudyDate=20200101-20201231"
        "&StudyInstanceUID=1.2%5C1.3"
    )

    assert (request.limit, request.offset, request.fuzzy) == (101, 202, False)
    assert request.include_fields == ("00081030", "00080060", "00080090", "00100030")
    assert [(each.key, each.tag) for each in request.filters] == [
        ("PatientName", "00100010"),
        ("00100020", "00100020"),
        ("ModalitiesInStudy", "00080061"),
        ("StudyDate", "00080020"),
        ("StudyInstanceUID", "0020000D"),
    ]
    name, patient, modalities, date, study = request.filters
    assert (name.text(), patient.text(), date.text()) == ("*Doe^J*", "*1*", "20200101-20201231")
    assert (modalities.items(), study.items()) == (("CT", "MR"), ("1.2", "1.3"))


def test_the_paging_of_weasis_is_understood() -> None:
    request = search(
        "&includefield=00080018,00200013,00081190&offset=1000&limit=1000&0020000e=1.2&00081030=a+b"
    )

    assert (request.limit, request.offset, request.warnings) == (1000, 1000, ())
    assert request.include_fields == ("00080018", "00200013", "00081190")
    assert [(each.key, each.tag, each.text()) for each in request.filters] == [
        ("0020000e", "0020000E", "1.2"),
        ("00081030", "00081030", "a b"),
    ]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("PatientName=a+b", "a b"),
        ("PatientName=a%20b", "a b"),
        ("PatientName=a%2Bb", "a+b"),
        ("PatientName=a^b", "a^b"),
        ("PatientName=a=b", "a=b"),
        ("Patient%4eame=a,b", "a,b"),
        ("PatientName=J%C3%96", "JÖ"),
        ("PatientName=J\xc3\x96", "JÖ"),
        ("PatientName=山", "山"),
        ("PatientName=+a+", " a "),
        ("PatientName=100%", "100%"),
    ],
)
def test_a_value_is_decoded(query: str, text: str) -> None:
    assert search(query).filters[0].text() == text


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("20200101120000+0100", "20200101120000+0100"),
        ("20200101120000%2B0100", "20200101120000+0100"),
        ("20200101120000%200100", "20200101120000+0100"),
        ("2020-2021", "2020-2021"),
    ],
)
def test_a_plus_in_a_moment_is_one(raw: str, moment: str) -> None:
    """Clients section 3.3."""
    assert Filter("00400001", "00400001", (raw,)).moment() == moment


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ("Modality=CT", ("CT",)),
        ("Modality=CT,MR", ("CT", "MR")),
        ("Modality=CT%2C%20MR,", ("CT", "MR")),
        ("Modality=CT%5cMR", ("CT", "MR")),
        ("Modality=CT&Modality=MR&00080060=CT", ("CT", "MR")),
    ],
)
def test_a_list_may_be_repeated_or_separated_by_comma_or_backslash(
    query: str, items: tuple[str, ...]
) -> None:
    """Clients checklist 12 and 13."""
    request = search(query)

    assert len(request.filters) == 1
    assert request.filters[0].items() == items


def test_a_list_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequest):
        search("Modality=,%5c").filters[0].items()


@pytest.mark.parametrize("query", ["PatientID=1&PatientID=1", "PatientID=1&00100020=2"])
def test_an_attribute_that_takes_one_value_is_refused_twice(query: str) -> None:
    """API rules 8.6."""
    patient = search(query).filters[0]

    with pytest.raises(BadRequest, match="AttributeId PatientID is given more than once"):
        patient.text()
    with pytest.raises(BadRequest):
        patient.moment()


@pytest.mark.parametrize(
    "key",
    [
        "Unknown",
        "patientname",
        "PATIENTNAME",
        "0010001",
        "001000100",
        "00999999",
        "a.b",
        "(0010,0010)",
        "0010,0010",
        "orderby",
    ],
)
def test_an_unknown_attribute_is_refused_with_azures_words(key: str) -> None:
    """API rules 8.6 and L-06. A filter is never dropped for its spelling: that would show other patients."""
    with pytest.raises(BadRequest) as refusal:
        search(f"{key}=x")

    assert str(refusal.value) == (
        f"Invalid query: AttributeId {key} is not queryable.  If the parameter is an attribute keyword, "
        "check the casing as they are case-sensitive. The conformance statement has a list of supported "
        "query parameters, attributes and the levels."
    )


@pytest.mark.parametrize("value", ["", "+", "%20%20", "%09", "%00"])
def test_a_blank_value_is_refused(value: str) -> None:
    """API rules 8.4."""
    with pytest.raises(BadRequest, match="PatientID has no value"):
        search(f"PatientID={value}")


def test_slims_odd_key_is_ignored_with_a_warning() -> None:
    """Clients checklist 15."""
    request = search("PersonName=*x*&PatientName=*x*&PersonName=")

    assert [each.tag for each in request.filters] == ["00100010"]
    assert request.warnings == ("The parameter 'PersonName' is not an attribute and was ignored.",)


@pytest.mark.parametrize(
    ("value", "limit", "warned"),
    [
        ("0", 0, False),
        ("1", 1, False),
        ("200", 200, False),
        ("201", 201, False),
        ("5000", 5000, False),
        ("00005000", 5000, False),
        (" 7", 7, False),
        ("5001", 5000, True),
        ("1000000000", 5000, True),
        ("9" * 6000, 5000, True),
    ],
)
def test_a_high_limit_is_lowered_with_a_warning(value: str, limit: int, warned: bool) -> None:
    """Clients checklist 16."""
    request = search(f"Limit={value}")

    assert request.limit == limit
    assert request.warnings == (("The limit was lowered to 5000.",) if warned else ())


@pytest.mark.parametrize("value", ["-1", "x", "", "1.0", "1e3", "%C2%B2", "%D9%A1", "1&limit=2"])
def test_an_impossible_limit_is_refused(value: str) -> None:
    """API rules L-07, with our bounds."""
    with pytest.raises(BadRequest) as refusal:
        search(f"limit={value}")

    assert (
        str(refusal.value)
        == "The query parameter 'Limit' is invalid. The field Limit must be between 0 and 5000."
    )


@pytest.mark.parametrize(
    ("value", "offset"), [("0", 0), ("17", 17), ("2147483647", 2147483647), ("3&OFFSET=3", 3)]
)
def test_an_offset_is_read(value: str, offset: int) -> None:
    assert search(f"offset={value}").offset == offset


@pytest.mark.parametrize("value", ["-1", "x", "", "2147483648", "10000000000000", "1&offset=2"])
def test_an_impossible_offset_is_refused(value: str) -> None:
    with pytest.raises(BadRequest, match="'Offset' is invalid"):
        search(f"offset={value}")


@pytest.mark.parametrize(
    ("query", "fuzzy"), [("FuzzyMatching=true", True), ("fuzzymatching=FALSE", False), ("", False)]
)
def test_fuzzy_matching_is_read_whatever_its_case(query: str, fuzzy: bool) -> None:
    assert search(query).fuzzy is fuzzy


@pytest.mark.parametrize(
    "query",
    [
        "fuzzymatching=yes",
        "fuzzymatching=",
        "fuzzymatching=1",
        "fuzzymatching=true&fuzzymatching=false",
        "emptyvaluematching=x",
    ],
)
def test_a_switch_is_true_or_false(query: str) -> None:
    with pytest.raises(BadRequest, match="must be true or false"):
        search(query)


@pytest.mark.parametrize(
    ("query", "several"),
    [("multiplevaluematching=true", True), ("MultipleValueMatching=false", False), ("", False)],
)
def test_the_switch_of_multiple_values_is_read(query: str, several: bool) -> None:
    """PS3.18 section 8.3.4.6."""
    request = search(query)

    assert (request.several, request.warnings) == (several, ())


@pytest.mark.parametrize("value", ["", "+", "%20%00", "%22%22", "%20%22%22"])
def test_an_empty_value_is_asked_for_by_a_switch(value: str) -> None:
    """PS3.18 section 8.3.4.5: by two quotes, or by nothing; wherever the switch stands."""
    for query in (f"PatientID={value}&emptyvaluematching=true", f"emptyvaluematching=true&PatientID={value}"):
        request = search(query)
        assert [each.is_empty for each in request.filters] == [True]
        assert request.warnings == ()


@pytest.mark.parametrize(
    ("query", "is_empty"),
    [
        ("PatientID=x&emptyvaluematching=true", False),
        ("PatientID=%22x%22&emptyvaluematching=true", False),
        ("PatientID=%22%22", False),
        ("PatientID=%22%22&emptyvaluematching=false", False),
    ],
)
def test_other_values_are_taken_as_they_are(query: str, is_empty: bool) -> None:
    """PS3.4 section C.2.2.2.7."""
    assert search(query).filters[0].is_empty is is_empty


@pytest.mark.parametrize("query", ["PatientID=&PatientID=x", "Modality=CT&Modality="])
def test_an_empty_value_is_no_part_of_a_list(query: str) -> None:
    """Nobody can say what it would mean."""
    with pytest.raises(BadRequest, match="has no value"):
        search(f"{query}&emptyvaluematching=true")


@pytest.mark.parametrize(
    ("query", "cursor"), [("", ""), ("cursor=abc_-", "abc_-"), ("Cursor=a%20&cursor=a%20", "a")]
)
def test_a_cursor_is_handed_on(query: str, cursor: str) -> None:
    """It is checked by whoever made it."""
    assert search(query).cursor == cursor


def test_there_is_one_cursor() -> None:
    """Of two nobody knows which counts."""
    with pytest.raises(BadRequest, match="Cursor"):
        search("cursor=a&cursor=b")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("PatientName.PatientID", "00100010.00100020"),
        ("00100010.PatientID", "00100010.00100020"),
        ("PatientName.0020000d", "00100010.0020000D"),
        ("PatientName.PatientID.Modality", "00100010.00100020.00080060"),
    ],
)
def test_what_lies_in_a_sequence_is_named_by_a_path(name: str, tag: str) -> None:
    """PS3.18 section 8.3.4.1."""
    (found,) = search(f"{name}=1").filters

    assert (found.key, found.tag) == (name, tag)


@pytest.mark.parametrize(
    "name", ["...", "PatientName.", ".PatientName", "PatientName..PatientID", "PatientName.x"]
)
def test_a_path_with_an_unknown_part_is_refused(name: str) -> None:
    """API rules 8.6."""
    with pytest.raises(BadRequest, match="is not queryable"):
        search(f"{name}=1")


@pytest.mark.parametrize(
    ("query", "fields", "everything"),
    [
        ("includefield=all", (), True),
        ("includefield=All&includefield=PatientName", (), True),
        ("includefield=PatientName,all,Nonsense", (), True),
        (
            "includefield=PatientName&includefield=00100020,0020000d",
            ("00100010", "00100020", "0020000D"),
            False,
        ),
        ("includefield=PatientName,00100010", ("00100010",), False),
        ("includefield=00091001,00999999", ("00091001", "00999999"), False),
        ("IncludeField=,PatientName,&includefield=", ("00100010",), False),
        ("includefield=", (), False),
    ],
)
def test_fields_to_include_are_read(query: str, fields: tuple[str, ...], everything: bool) -> None:
    """Clients checklist 21, API rules 8.6."""
    request = search(query)

    assert (request.include_fields, request.include_all) == (fields, everything)


@pytest.mark.parametrize("field", ["Nonsense", "patientname", "a.b", "0010", "00400275.00400009"])
def test_an_unknown_field_to_include_is_refused(field: str) -> None:
    with pytest.raises(BadRequest, match="includefield"):
        search(f"includefield={field}")


@pytest.mark.parametrize("query", ["a=<b", "%3Cx", "PatientName=%3c", "_=%3C"])
def test_markup_in_a_query_is_refused_first(query: str) -> None:
    """API rules 1.8."""
    with pytest.raises(BadRequest, match="<"):
        refuse_markup(query)
    with pytest.raises(BadRequest, match="<"):
        search(query)


@pytest.mark.parametrize("query", ["", "PatientName=%253c>", "a=%3e"])
def test_other_queries_pass_the_guard(query: str) -> None:
    refuse_markup(query)


@pytest.mark.parametrize("query", ["PatientName=%D6", "PatientName=\xd6", "%ff=1"])
def test_a_query_that_is_not_utf8_is_refused(query: str) -> None:
    with pytest.raises(BadRequest, match="UTF-8"):
        search(query)


@given(st.text(max_size=60))
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        request = search(query)
    except BadRequest:
        return
    assert 0 <= request.limit <= 5000
