"""The answer to a store request (API rules sections 3.5 to 3.7)."""

import pytest

from shared.dicom.part10 import Identity
from shared.stow.outcome import Answer, Failure, Outcome, Refused, Stored, Warned, make_answer

STUDY_URL, FAILED, REFERENCED = "00081190", "00081198", "00081199"
ONE, OTHER = Identity("1", "2", "3", "4"), Identity("1", "2", "5", "4")

GOOD = Stored(ONE)
WARNED = Stored(OTHER, Warned.ATTRIBUTES, ("comment",))
BAD = Refused(Failure.VALIDATION)
TAKEN = Refused(Failure.EXISTS, OTHER)


def answer(*outcomes: Outcome, is_v1: bool = False, study_url: str | None = None) -> Answer:
    """The answer, with short URLs."""
    return make_answer(
        outcomes, is_v1=is_v1, study_url=study_url, instance_url=lambda identity: f"u/{identity.instance}"
    )


@pytest.mark.parametrize(
    ("outcomes", "v2", "v1"),
    [
        ((), 204, 204),
        ((GOOD,), 200, 200),
        ((GOOD, GOOD), 200, 200),
        ((WARNED,), 202, 200),
        ((GOOD, WARNED), 202, 200),
        ((Stored(ONE, Warned.IMPLICIT_VR),), 202, 200),
        ((GOOD, BAD), 202, 202),
        ((WARNED, TAKEN), 202, 202),
        ((BAD,), 409, 409),
        ((TAKEN, BAD, Refused(Failure.PROCESSING, ONE)), 409, 409),
    ],
)
def test_the_status(outcomes: tuple[Outcome, ...], v2: int, v1: int) -> None:
    """Section 3.5."""
    assert answer(*outcomes).status == v2
    assert answer(*outcomes, is_v1=True).status == v1


def test_nothing_sent_has_no_dataset() -> None:
    """Section 3.5: 204 has an empty body."""
    assert answer() == Answer(204, None)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((GOOD,), {REFERENCED}),
        ((BAD,), {FAILED}),
        ((GOOD, BAD), {FAILED, REFERENCED}),
    ],
)
def test_only_what_applies_is_there(outcomes: tuple[Outcome, ...], expected: set[str]) -> None:
    """Section 3.6, top level; the study URL needs something stored."""
    assert set(answer(*outcomes).dataset or {}) == expected
    with_study = set(answer(*outcomes, study_url="u").dataset or {})
    assert with_study == expected | ({STUDY_URL} if GOOD in outcomes else set())


def test_a_stored_item() -> None:
    """Section 3.6: on v2 the comments are always there, on v1 only if there are any."""
    item = {
        "00081150": {"vr": "UI", "Value": ["4"]},
        "00081155": {"vr": "UI", "Value": ["3"]},
        "00081190": {"vr": "UR", "Value": ["u/3"]},
    }

    v2, v1 = answer(GOOD).dataset, answer(GOOD, is_v1=True).dataset

    assert v2 == {REFERENCED: {"vr": "SQ", "Value": [{**item, "00741048": {"vr": "SQ"}}]}}
    assert v1 == {REFERENCED: {"vr": "SQ", "Value": [item]}}


@pytest.mark.parametrize("is_v1", [False, True])
def test_a_warned_item(is_v1: bool) -> None:
    """Section 3.6: reason and comments."""
    dataset = answer(WARNED, is_v1=is_v1).dataset

    assert dataset is not None
    items = dataset[REFERENCED]["Value"]
    assert isinstance(items, list)
    (item,) = items
    assert item["00081196"] == {"vr": "US", "Value": [1]}
    comment = {"00000902": {"vr": "LO", "Value": ["comment"]}}
    assert item["00741048"] == {"vr": "SQ", "Value": [comment]}


@pytest.mark.parametrize(
    ("refused", "expected"),
    [
        (BAD, {"00081197": {"vr": "US", "Value": [43264]}}),
        (
            TAKEN,
            {
                "00081150": {"vr": "UI", "Value": ["4"]},
                "00081155": {"vr": "UI", "Value": ["5"]},
                "00081197": {"vr": "US", "Value": [45070]},
            },
        ),
        (
            Refused(Failure.VALIDATION, Identity("1", "2", "", "4"), ("c", "d")),
            {
                "00081150": {"vr": "UI", "Value": ["4"]},
                "00081197": {"vr": "US", "Value": [43264]},
                "00741048": {
                    "vr": "SQ",
                    "Value": [
                        {"00000902": {"vr": "LO", "Value": ["c"]}},
                        {"00000902": {"vr": "LO", "Value": ["d"]}},
                    ],
                },
            },
        ),
    ],
    ids=["unreadable", "duplicate", "without a UID"],
)
def test_a_failed_item(refused: Refused, expected: object) -> None:
    """Section 3.6: UIDs as far as they could be read, comments only with validation failures."""
    assert answer(refused).dataset == {FAILED: {"vr": "SQ", "Value": [expected]}}


def test_what_was_refused_keeps_no_more_of_a_uid_than_one_may_have() -> None:
    """Thousands of megabytes could stand in their place, which wait for the answer."""
    long = Identity(*("1" * 65 for _ in range(4)))

    assert Refused(Failure.VALIDATION, long).identity == Identity(*("1" * 64 for _ in range(4)))
    assert Refused(Failure.VALIDATION, Identity("", "", "abc.123", "")).identity == Identity(
        "", "", "abc.123", ""
    )


@pytest.mark.parametrize("is_v1", [False, True])
def test_several_values_are_told_once_for_the_whole_request(is_v1: bool) -> None:
    """Section 3.4 row 6, L-16; status and items are what they are without."""
    several = Stored(OTHER, first_value_only=True)

    told = answer(GOOD, several, several, is_v1=is_v1)

    assert told.warning == (
        "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
    )
    assert (told.status, told.dataset) == (
        200,
        answer(GOOD, Stored(OTHER), Stored(OTHER), is_v1=is_v1).dataset,
    )


def test_nothing_is_told_where_nothing_is_to_be_told() -> None:
    """Section 3.4 row 6: of what was stored only."""
    assert answer(GOOD, WARNED, BAD).warning is None


def test_creation_in_progress_is_never_a_reason() -> None:
    """Section 3.7: nothing is ever half reserved, so 45071 has no occasion."""
    assert {int(reason) for reason in Failure} == {272, 43264, 45070}


def test_items_keep_the_order_of_the_parts() -> None:
    """Section 3.6."""
    many = [Stored(Identity("1", "2", str(number), "4")) for number in range(20)]

    dataset = answer(*many).dataset

    assert dataset is not None
    items = dataset[REFERENCED]["Value"]
    assert isinstance(items, list)
    assert [item["00081155"]["Value"] for item in items] == [[str(number)] for number in range(20)]
