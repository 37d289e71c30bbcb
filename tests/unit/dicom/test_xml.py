"""The Native DICOM Model: what is written follows its schema, and is read back as it was."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dicom.json_reader import MAX_NODES
from shared.dicom.xml import NAME_COMPONENTS, NAME_GROUPS, NAMESPACE, render_xml
from shared.dicom.xml_reader import MAX_GAP, parse_xml
from shared.errors import BadRequest

Element = ElementTree.Element
Dataset = Mapping[str, Mapping[str, Any]]

NAMES = {"DicomAttribute", "Value", "Item", "PersonName", "InlineBinary", "BulkData"}
CONTENTS = NAMES - {"DicomAttribute"}


def parsed(dataset: Dataset) -> Element:
    """A document, checked against the schema of PS3.19 section A.1.6."""
    root = ElementTree.fromstring(render_xml(dataset))
    assert local(root) == "NativeDicomModel"
    assert root.attrib == {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}
    check_dataset(root)
    return root


def local(element: Element) -> str:
    """The name of an element, which has the namespace of the model."""
    space, _, name = element.tag.removeprefix("{").partition("}")
    assert space == NAMESPACE
    return name


def check_dataset(parent: Element) -> None:
    tags = [child.attrib["tag"] + child.attrib.get("privateCreator", "") for child in parent]
    assert len(set(tags)) == len(tags)
    for child in parent:
        assert local(child) == "DicomAttribute"
        check_attribute(child)


def check_attribute(attribute: Element) -> None:
    assert attribute.attrib.keys() <= {"tag", "vr", "keyword", "privateCreator"}
    tag, vr = attribute.attrib["tag"], attribute.attrib["vr"]
    assert len(tag) == 8
    assert set(tag) <= set("0123456789ABCDEF")
    assert len(vr) == 2
    kinds = {local(child) for child in attribute}
    assert len(kinds) <= 1
    assert kinds <= CONTENTS
    if kinds & {"InlineBinary", "BulkData"}:
        assert len(attribute) == 1
        return
    assert [child.attrib["number"] for child in attribute] == [str(n + 1) for n in range(len(attribute))]
    for child in attribute:
        if local(child) == "Item":
            check_dataset(child)
        elif local(child) == "PersonName":
            check_name(child)
        else:
            assert len(child) == 0


def check_name(name: Element) -> None:
    groups = [local(group) for group in name]
    assert groups == [group for group in NAME_GROUPS if group in groups]
    for group in name:
        components = [local(component) for component in group]
        assert components == [each for each in NAME_COMPONENTS if each in components]


def only(root: Element) -> Element:
    """The one attribute of a document."""
    (attribute,) = root
    return attribute


def test_values_are_numbered() -> None:
    """Table A.1.5-2."""
    attribute = only(parsed({"00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}}))

    assert attribute.attrib == {"keyword": "ImageType", "tag": "00080008", "vr": "CS"}
    assert [value.text for value in attribute] == ["ORIGINAL", None, "AXIAL"]


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (-1.5, "-1.5"), (1e-7, "1e-07"), ("NaN", "NaN"), (2**63, str(2**63))]
)
def test_numbers_are_text(value: object, text: str) -> None:
    assert only(parsed({"00189999": {"vr": "FD", "Value": [value]}}))[0].text == text


def test_a_name_is_taken_apart() -> None:
    """Its groups and components have elements of their own; empty ones have none."""
    value = {"Alphabetic": "Yamada^Tarou^^Dr", "Ideographic": "山田^太郎", "Phonetic": ""}

    attribute = only(parsed({"00100010": {"vr": "PN", "Value": [value]}}))

    found = {local(group): {local(part): part.text for part in group} for group in attribute[0]}
    assert found == {
        "Alphabetic": {"FamilyName": "Yamada", "GivenName": "Tarou", "NamePrefix": "Dr"},
        "Ideographic": {"FamilyName": "山田", "GivenName": "太郎"},
    }


def test_a_private_attribute_names_its_creator() -> None:
    """The number of its block is left out of its tag."""
    dataset: Dataset = {
        "00190011": {"vr": "LO", "Value": ["A & B"]},
        "00191102": {"vr": "DS", "Value": [1]},
        "00191203": {"vr": "DS", "Value": [2]},
    }

    first, second, third = parsed(dataset)

    assert first.attrib == {"tag": "00190011", "vr": "LO"}
    assert second.attrib == {"tag": "00190002", "vr": "DS", "privateCreator": "A & B"}
    assert third.attrib == {"tag": "00191203", "vr": "DS"}


def test_sequences_hold_items() -> None:
    dataset: Dataset = {"00081140": {"vr": "SQ", "Value": [{}, {"00081155": {"vr": "UI", "Value": ["1.2"]}}]}}

    empty, full = only(parsed(dataset))

    assert (len(empty), len(full)) == (0, 1)
    assert full[0][0].text == "1.2"


def test_bulk_data_are_inline_or_referred_to() -> None:
    inline, bulk = parsed(
        {"00281201": {"vr": "OW", "InlineBinary": "AAE="}, "7FE00010": {"vr": "OW", "BulkDataURI": "a?b&c"}}
    )

    assert inline[0].text == "AAE="
    assert bulk[0].attrib == {"uri": "a?b&c"}


FORBIDDEN = ("\0", "\x1b", "\x0b", "\ud800", "\ufffe", "\uffff")


@pytest.mark.parametrize("character", FORBIDDEN)
def test_what_xml_cannot_hold_is_replaced(character: str) -> None:
    """No character may make a document that cannot be read."""
    dataset: Dataset = {
        "00100020": {"vr": "LO", "Value": [f"a{character}b"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"a{character}b"}]},
        "00190010": {"vr": "LO", "Value": [f"a{character}b"]},
        "00191001": {"vr": "LO"},
    }

    *_, private = parsed(dataset)

    assert private.attrib["privateCreator"] == "a\ufffdb"


TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\t\n\r<>&\"']]>"), min_size=1
)
NAME = TEXT.map(lambda text: text.replace("=", "-"))
VALUE = st.one_of(
    st.tuples(st.just("LO"), TEXT | st.none()),
    st.tuples(st.just("UT"), TEXT),
    st.tuples(st.just("PN"), st.fixed_dictionaries({"Alphabetic": NAME}, optional={"Phonetic": NAME})),
    st.tuples(st.just("US"), st.integers(0, 65535).map(str)),
)
LEVEL = st.dictionaries(
    st.sampled_from(["00080005", "00100010", "00100020", "0040A160", "00190010", "00190011"]),
    VALUE.map(lambda pair: {"vr": pair[0], "Value": [pair[1], pair[1]]}),
)
DATASETS = st.recursive(
    LEVEL,
    lambda inner: st.builds(
        lambda level, items: {**level, "00081140": {"vr": "SQ", "Value": items}} if items else level,
        LEVEL,
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(DATASETS)
def test_what_is_written_is_read_back(dataset: Dataset) -> None:
    """The same values, whatever characters are in them."""
    parsed(dataset)

    assert parse_xml(render_xml(dataset)) == dataset


def document(content: str) -> bytes:
    """A document as dcm4che writes it, without the namespace."""
    head = '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xml:space="preserve">'
    return f"{head}{content}</NativeDicomModel>".encode()


def attribute(content: str, tag: str = "00100020", vr: str = "LO", more: str = "") -> str:
    """An attribute."""
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{more}>{content}</DicomAttribute>'


def test_a_namespace_may_have_a_prefix() -> None:
    inner = '<n:DicomAttribute tag="0010001f" vr="LO"/>'
    text = f'<n:NativeDicomModel xmlns:n="{NAMESPACE}">{inner}</n:NativeDicomModel>'

    assert parse_xml(text.encode()) == {"0010001F": {"vr": "LO"}}


def test_values_that_are_left_out_are_empty() -> None:
    """Their numbers tell."""
    text = attribute('<Value number="2">b</Value><Value number="4">d</Value>')

    assert parse_xml(document(text))["00100020"]["Value"] == [None, "b", None, "d"]


def test_values_are_ordered_by_their_numbers() -> None:
    """PS3.19 table A.1.5-2: the number is the place; where it is missing the value is the next."""
    text = attribute('<Value number="3">c</Value><Value number="1">a</Value><Value>b</Value>')

    assert parse_xml(document(text))["00100020"]["Value"] == ["a", "b", "c"]


def test_empty_values_count_as_elements() -> None:
    """A few bytes of XML stand for a thousand of them."""
    text = attribute(f'<Value number="{MAX_GAP}"/>', "0010{:04X}")
    enough = MAX_NODES // (MAX_GAP + 1) - 1

    assert len(parse_xml(document("".join(map(text.format, range(enough)))))) == enough
    with pytest.raises(BadRequest, match=str(MAX_NODES)):
        parse_xml(document("".join(map(text.format, range(enough + 3)))))


def test_a_reservation_may_stand_behind_what_it_is_for() -> None:
    text = attribute("", "00191003", more=' privateCreator="X"') + attribute("<Value>X</Value>", "00190010")

    assert parse_xml(document(text)) == {
        "00190010": {"vr": "LO", "Value": ["X"]},
        "00191003": {"vr": "LO"},
    }


def test_a_block_is_reserved_for_a_creator() -> None:
    """dcm4che leaves out the reservations; where a block is taken the next is."""
    text = "".join(
        (
            attribute("<Value number='1'>X</Value>", "00190010"),
            attribute("<Value number='1'>1</Value>", "00190001", more=' privateCreator="Y"'),
            attribute("<Value number='1'>2</Value>", "00191002", more=' privateCreator="Y"'),
            attribute("<Value number='1'>3</Value>", "00191003", more=' privateCreator="X"'),
            attribute("<Value number='1'>4</Value>", "00191404", more=' privateCreator="Z"'),
        )
    )

    found = parse_xml(document(text))

    assert {key: element["Value"] for key, element in found.items()} == {
        "00190010": ["X"],
        "00190011": ["Y"],
        "00191101": ["1"],
        "00191102": ["2"],
        "00191003": ["3"],
        "00190014": ["Z"],
        "00191404": ["4"],
    }


def test_a_private_group_has_so_many_blocks() -> None:
    text = "".join(attribute("", "00190001", more=f' privateCreator="{number}"') for number in range(300))

    with pytest.raises(BadRequest, match="creators"):
        parse_xml(document(text))


def test_a_bulk_may_have_a_uuid() -> None:
    text = attribute('<BulkData uuid="1a2b"/>', "7FE00010", "OW")

    assert parse_xml(document(text)) == {"7FE00010": {"vr": "OW", "BulkDataURI": "1a2b"}}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no xml",
        b"<NativeDicomModel>",
        b'<?xml version="1.0" encoding="nonsense"?><NativeDicomModel/>',
        b"<Item/>",
        document("<Value>x</Value>"),
        document(attribute("<DataFragment number='1'/>")),
        document(attribute("<Value number='1'><Value number='1'/></Value>")),
        document(attribute("", "0010")),
        document(attribute("", "0010002G")),
        document("<DicomAttribute vr='LO'/>"),
        document(attribute("<BulkData/>")),
        document(attribute("<Value number='5000'/>")),
        document(attribute("<Value number='0'/>")),
        document(attribute("<Value number='one'/>")),
        document(attribute("<Value number='1'>a</Value><Value number='1'>b</Value>")),
        document(attribute("<Value number='2'>a</Value><Value number='1'/><Value>b</Value>")),
        document(attribute("<Value>a</Value>") + attribute("<Value>b</Value>")),
        document(attribute("<Value>a</Value>", "0010002a") + attribute("", "0010002A")),
        document(attribute("", "00191003", more=' privateCreator="X"') + attribute("", "00190010")),
        document("&unknown;"),
        document(attribute("<Value number='1'/>") * 260_000),
        document("<DicomAttribute tag='00081140' vr='SQ'><Item number='1'>" * 70),
        b"<!DOCTYPE a><NativeDicomModel/>",
        b'<!DOCTYPE a [<!ENTITY b "b">]><NativeDicomModel/>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/"><NativeDicomModel/>',
    ],
)
def test_what_is_no_model_is_malformed(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_xml(text)
