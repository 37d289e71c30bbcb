"""The transaction that makes instances exist."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from shared.storage import keys, planning, terms
from shared.storage.entities import render_entity
from shared.storage.keys import StudyKey
from shared.storage.planning import MAX_OPERATIONS, MAX_SERIES, CommitPlan, Known, LevelChange
from shared.storage.rows import (
    LevelRow,
    Location,
    NewInstance,
    Values,
    indexable,
    parse_values,
    squeezed_text,
)
from shared.storage.tables import Kind, Operation, Row

KEY = StudyKey("p", "1.2")
VERSION = 100


def text(tag: str, value: str) -> Values:
    """One element."""
    return {tag: {"vr": "LO", "Value": [value]}}


def new(
    series: str = "1.3",
    number: int = 1,
    *,
    study: Values | None = None,
    of_series: Values | None = None,
    metadata: bytes = b"m",
) -> NewInstance:
    """An instance that arrives."""
    return NewInstance(
        series=series,
        instance=f"{series}.{number}",
        version=number,
        location=Location("blob", 0, 1),
        transfer_syntax="",
        study_values=study or {},
        series_values=of_series or {},
        values={},
        metadata=metadata,
        frames=None,
    )


def known(study: Values | None = None, **series: Values | None) -> Known:
    """What was seen: rows as of revision 50, made at 40; a series `s3` has UID 1.3."""

    def level(values: Values | None, etag: str) -> LevelRow | None:
        return None if values is None else LevelRow(50, 40, values, etag)

    rows = {f"1.{name[1:]}": level(values, name) for name, values in series.items()}
    return Known(level(study, "study"), rows)


def plan(seen: Known, *instances: NewInstance) -> CommitPlan:
    """The plan of a commit."""
    return planning.plan_commit(KEY, seen, instances, VERSION)


def shape(plan_made: CommitPlan) -> list[tuple[Kind, str, str]]:
    """What each operation does, to which row, under which condition."""
    return [(operation.kind, operation.row, operation.etag) for operation in plan_made.operations]


def of_row(plan_made: CommitPlan, row: str) -> Mapping[str, object]:
    """The values written to a row."""
    (found,) = (operation for operation in plan_made.operations if operation.row == row)
    return found.values


NEW_ANCHOR, OLD_ANCHOR = keys.anchor_row("", VERSION), keys.anchor_row("", 50)
NEW_SERIES_ANCHOR, OLD_SERIES_ANCHOR = keys.anchor_row("1.3", VERSION), keys.anchor_row("1.3", 50)
PENDING = keys.pending_row(VERSION)


def test_a_new_study_is_inserted_with_its_series() -> None:
    """Rows with their anchors, the instance, and the pending change; an insert fails if it comes too late."""
    made = plan(known(None, s3=None), new())

    assert shape(made) == [
        (Kind.INSERT, "study", "*"),
        (Kind.INSERT, NEW_ANCHOR, "*"),
        (Kind.INSERT, "series|1.3", "*"),
        (Kind.INSERT, NEW_SERIES_ANCHOR, "*"),
        (Kind.INSERT, "instance|1.3|1.3.1", "*"),
        (Kind.INSERT, PENDING, "*"),
    ]
    assert made.first_instance == 4


def test_a_study_that_stays_as_it_is_only_has_its_anchors_touched() -> None:
    """So that stores of one study do not wait for each other, and yet notice a change or removal."""
    values = text("00100020", "1")
    made = plan(known(values, s3={}), new(study=values))

    assert shape(made) == [
        (Kind.MERGE, OLD_ANCHOR, "*"),
        (Kind.MERGE, OLD_SERIES_ANCHOR, "*"),
        (Kind.INSERT, "instance|1.3|1.3.1", "*"),
        (Kind.INSERT, PENDING, "*"),
    ]
    assert made.study == LevelChange(made.study.before, made.study.before)


def test_a_study_that_changes_is_replaced_as_it_was_seen() -> None:
    """Under its ETag; its anchor moves to the new revision. The creation stays."""
    made = plan(known(text("00081030", "old"), s3={}), new(study=text("00081030", "new")))

    assert shape(made)[:3] == [
        (Kind.REPLACE, "study", "study"),
        (Kind.DELETE, OLD_ANCHOR, "*"),
        (Kind.INSERT, NEW_ANCHOR, "*"),
    ]
    assert made.study.after == LevelRow(VERSION, 40, text("00081030", "new"), "study")
    assert parse_values(str(of_row(made, "study")["values"])) == text("00081030", "new")
    assert of_row(made, "study")["created"] == 40


def test_a_new_series_of_a_known_study() -> None:
    """Only what is new is inserted; the modality is new to the study too."""
    made = plan(known(modalities("CT"), s4=None), new("1.4", of_series=modality("MR")))

    assert made.study.after is not None
    assert made.study.after.values["00080061"] == {"vr": "CS", "Value": ["CT", "MR"]}
    assert (Kind.INSERT, "series|1.4", "*") in shape(made)


def modality(*names: str) -> Values:
    """What a series says of its modality."""
    return {"00080060": {"vr": "CS", "Value": list(names)}} if names else {}


def modalities(*names: str) -> Values:
    """What a study says of those of its series."""
    return {"00080061": {"vr": "CS", "Value": list(names)}}


@pytest.mark.parametrize(
    ("before", "arriving", "expected"),
    [
        (None, [modality("CT")], False),
        (None, [modality("CT"), modality("MR")], False),
        (modality("CT"), [modality("CT")], False),
        (modality("CT"), [modality("MR"), modality("CT")], False),
        (modality("CT"), [{}, {"00080060": {"vr": "CS"}}], False),
        (modality(), [modality("CT")], False),
        (modality("CT"), [modality("MR")], True),
        (modality("CT"), [modality("CT"), modality("MR")], True),
    ],
)
def test_only_a_modality_that_changes_makes_other_series_matter(
    before: Values | None, arriving: list[Values], expected: bool
) -> None:
    """A store of new instances reads nothing more for it."""
    instances = [new(number=number, of_series=values) for number, values in enumerate(arriving)]

    assert planning.depends_on_all(known({}, s3=before, s4=modality("US")), instances) is expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [({}, ["MR"]), ({"1.4": "CT"}, ["CT", "MR"]), ({"1.4": "US", "1.5": "MR"}, ["MR", "US"])],
)
def test_the_modalities_of_a_study_are_those_that_its_series_have_now(
    others: Mapping[str, str], expected: list[str]
) -> None:
    """The old modality of a series stays only while another series has it."""
    rows = {uid: LevelRow(50, 40, modality(name), "") for uid, name in {"1.3": "CT", **others}.items()}
    seen = known(modalities("CT", "US"), s3=modality("CT"))

    made = plan(replace(seen, all_series=rows), new(of_series=modality("MR")))

    assert made.study.after is not None
    assert made.study.after.values == modalities(*expected)


def test_what_depends_on_all_series_fails_when_one_changes() -> None:
    """By the ETag of the study's row, whether what it says changes or not."""
    rows = {uid: LevelRow(50, 40, modality("CT"), "") for uid in ("1.3", "1.4")}
    less, same = (known(modalities(*names), s3=modality("CT")) for names in (["CT"], ["CT", "MR"]))

    changing = plan(replace(less, all_series=rows), new(of_series=modality("MR")))
    staying = plan(replace(same, all_series=rows), new(of_series=modality("MR")))

    assert shape(changing)[:3] == [
        (Kind.REPLACE, "study", "study"),
        (Kind.DELETE, OLD_ANCHOR, "*"),
        (Kind.INSERT, NEW_ANCHOR, "*"),
    ]
    assert shape(staying)[:2] == [(Kind.MERGE, "study", "study"), (Kind.MERGE, OLD_ANCHOR, "*")]
    assert of_row(staying, "study") == {}


@pytest.mark.parametrize(
    ("before", "arriving", "expected"),
    [
        (None, modality("CT"), True),
        ({}, modality("CT"), True),
        (None, {}, False),
        ({}, {}, False),
        (modality("CT"), modality("CT"), False),
        (modality("CT"), text("0008103E", "new"), False),
    ],
)
def test_whoever_changes_the_modalities_of_series_touches_the_row_of_the_study(
    before: Values | None, arriving: Values, expected: bool
) -> None:
    """So that whoever has read all series notices; other stores do not get in the way."""
    made = plan(known(modalities("CT"), s3=before), new(of_series=arriving))

    assert ((Kind.MERGE, "study", "*") in shape(made)) is expected
    assert (Kind.MERGE, OLD_ANCHOR, "*") in shape(made)


def test_instances_of_two_modalities_in_one_new_series_leave_the_last() -> None:
    """As the series does (API rules section 8.8)."""
    made = plan(known(None, s3=None), new(of_series=modality("CT")), new(number=2, of_series=modality("MR")))

    assert made.study.after is not None
    assert made.study.after.values == modalities("MR")


@pytest.mark.parametrize(
    ("before", "arriving", "expected"),
    [
        ({}, [text("1", "a")], text("1", "a")),
        (text("1", "a"), [text("1", "b")], text("1", "b")),
        (text("1", "a"), [text("1", "b"), text("1", "c")], text("1", "c")),
        (text("1", "a"), [{"1": {"vr": "LO"}}], text("1", "a")),
        (text("1", "a"), [{"1": {"vr": "LO", "Value": []}}], text("1", "a")),
        (text("1", "a"), [text("2", "b")], {**text("1", "a"), **text("2", "b")}),
    ],
)
def test_the_latest_value_wins_but_no_empty_one(
    before: Values, arriving: list[Values], expected: Values
) -> None:
    """API rules section 3.9."""
    instances = [new(number=number, study=values) for number, values in enumerate(arriving)]

    made = plan(known(before, s3={}), *instances)

    assert made.study.after is not None
    assert made.study.after.values == expected


def test_a_series_takes_values_of_its_own_instances_only() -> None:
    """Two series in one transaction."""
    made = plan(
        known({}, s3=None, s4=None),
        new("1.3", 1, of_series=text("0008103E", "three")),
        new("1.4", 2, of_series=text("0008103E", "four")),
    )

    found = {uid: change.after.values for uid, change in made.series.items() if change.after}
    assert found == {"1.3": text("0008103E", "three"), "1.4": text("0008103E", "four")}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], {"1": {"vr": "LO"}}),
        (["MR", "CT", "MR"], {"1": {"vr": "LO"}, "00080061": {"vr": "CS", "Value": ["CT", "MR"]}}),
    ],
)
def test_modalities_are_sorted_and_each_there_once(named: list[str], expected: Values) -> None:
    """API rules section 8.7."""
    before: Values = {"1": {"vr": "LO"}, "00080061": {"vr": "CS", "Value": ["US"]}}

    assert planning.with_modalities(before, named) == expected


def test_the_pending_change_names_every_search_row() -> None:
    """What a crash leaves can be mended from it: rows as they were and as they become."""
    before, after = text("00100020", "old"), text("00100020", "new")
    made = plan(known(before, s3={}), new(study=after))
    pending = of_row(made, PENDING)

    assert pending["action"] == "create"
    index = pending["index0"]
    assert isinstance(index, bytes)
    lines = squeezed_text(Row("", "", {"index0": index}, ""), "index").splitlines()
    named = {terms.IndexKey(*line.split("\t")) for line in lines}
    assert made.study.before is not None
    assert named == {*terms.study_rows(KEY, made.study.before), *terms.study_rows(KEY, made.study.after)}


def test_the_pending_change_of_an_unchanged_study_names_no_row() -> None:
    """Nothing of the search tables was touched but the instance's own row, which the instance names."""
    made = plan(known({}, s3={}), new())

    assert "index0" not in of_row(made, PENDING)
    assert planning.touched(KEY, made.study, made.series) == []


def test_details_in_blobs_are_told_to_the_feed() -> None:
    """So that a deletion knows what to remove."""
    change = planning.change_of(replace(new(), metadata_blob="m", frames_blob="f", bulk_blob="b"))

    assert change.details == ("m", "f", "b")


@pytest.mark.parametrize(
    ("instances", "sizes"),
    [
        ([], []),
        ([new(number=n) for n in range(10)], [10]),
        ([new(number=n) for n in range(200)], [93, 93, 14]),
        ([new(f"1.{n}") for n in range(3, 3 + MAX_SERIES + 1)], [MAX_SERIES, 1]),
        ([new(number=n, metadata=bytes(300_000)) for n in range(10)], [7, 3]),
        ([new(metadata=bytes(393_216))] * 1, [1]),
    ],
)
def test_instances_are_split_into_what_one_transaction_holds(
    instances: list[NewInstance], sizes: list[int]
) -> None:
    """By operations, by bytes, and by series; in order, none lost."""
    found = planning.batches(instances)

    assert [len(batch) for batch in found] == sizes
    assert [each for batch in found for each in batch] == instances


@pytest.mark.parametrize("series_count", [1, 2, 5, MAX_SERIES])
@pytest.mark.parametrize("is_changing", [True, False])
def test_a_batch_never_has_too_many_operations(series_count: int, is_changing: bool) -> None:
    """Whatever becomes of the study and the series."""
    values = text("00081030", "new") if is_changing else {}
    instances = [new(f"1.{3 + n % series_count}", n, study=values, of_series=values) for n in range(300)]

    for batch in planning.batches(instances):
        seen = {f"s{uid[2:]}": dict(text("00081030", "old")) for uid in {each.series for each in batch}}
        for level in (seen, dict.fromkeys(seen)):
            made = plan(known(text("00081030", "old"), **level), *batch)
            assert len(made.operations) <= MAX_OPERATIONS
            assert len({operation.row for operation in made.operations}) == len(made.operations)


def test_no_row_is_named_twice_in_a_transaction() -> None:
    """Storage would refuse it."""
    made = plan(
        known(text("1", "old"), s3=text("1", "old")), new(study=text("1", "x"), of_series=text("1", "x"))
    )
    rows: list[str] = [operation.row for operation in made.operations]

    assert len(rows) == len(set(rows))
    assert all(isinstance(operation, Operation) for operation in made.operations)


def test_what_a_hostile_study_touches_fits_its_pending_row() -> None:
    """As many long values as are looked at, of a study and of as many series as go together."""

    def hostile(seed: int) -> Values:
        tables = (*terms.STUDY_TABLES, *terms.SERIES_TABLES)
        texts = {
            table.tag: {"vr": "LO", "Value": ["".join(letters(seed, at, table.tag)) for at in range(20)]}
            for table in tables
        }
        return {**texts, "00400275": {"vr": "SQ", "Value": [texts]}}

    def letters(*seed: object) -> list[str]:
        return random.Random(repr(seed)).choices([chr(0x4E00 + at) for at in range(5_000)], k=64)

    def both(seed: int) -> LevelChange:
        before, after = (LevelRow(50, 40, indexable(hostile(each)), "") for each in (seed, seed + 100))
        return LevelChange(before, after)

    series = {f"1.2.{'3' * 55}.{number}": both(number) for number in range(MAX_SERIES)}
    touched = planning.touched(StudyKey("p" * 64, "1." + "2" * 60), both(50), series)
    values = planning.render_pending("update", [], touched)

    assert len(touched) > 3_000
    render_entity("p", PENDING, values)
    # The rest is for the instances.
    assert sum(len(value) for value in values.values() if isinstance(value, bytes)) < 700_000
