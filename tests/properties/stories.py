"""Archives that hypothesis makes: what is stored, replaced and deleted, and what is asked in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from tests.properties import samples
from tests.properties.files import CLASSES, INSTANCES, SERIES, STUDIES, Texts, Written
from tests.properties.queries import Asked, queries
from tests.properties.reference import ATTRIBUTES, ITEMS, VRS, Level

SEVERAL: Final = ("AccessionNumber", "StudyDescription", "PatientName", "PatientID", "ManufacturerModelName")
"""Attributes of which only the first value counts where a file has several."""


@dataclass(frozen=True, slots=True)
class Store:
    """Files are stored in one request, or put in the place of what is there."""

    files: tuple[Written, ...]
    replaces: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """A study, series or instance is deleted, if it is there."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What happens in one archive, and what is asked of it in the end."""

    events: tuple[Store | Delete, ...]
    asked: tuple[Asked, ...]


def _texts_of(name: str) -> st.SearchStrategy[str | None]:
    """Values of an attribute; None where a file has none of it."""
    vr = VRS[name]
    right = list(samples.RIGHT[vr])
    pairs = zip(right, right[3:], strict=False) if name in SEVERAL else ()
    several = [f"{one}\\{other}" for one, other in pairs][::5]
    # Shrinks towards the first, and what is listed twice comes twice as often.
    odd = samples.ODD_DATES if vr == "DA" else ()
    # An instance of a wrong Patient ID is not stored (API rules section 3.3).
    wrong = () if name == "PatientID" else samples.WRONG[vr]
    return st.sampled_from([None, *right, *right, None, None, "", *odd, *wrong, *several])


_LEVEL_TEXTS: Final = {
    level: st.fixed_dictionaries(
        {
            name: _texts_of(name)
            for name, vr in ATTRIBUTES[level].items()
            if vr not in ("UI", "SQ") and name != "ModalitiesInStudy"
        }
    ).map(lambda texts: {name: text for name, text in texts.items() if text is not None})
    for level in Level
}
"""What is in a file of the attributes of each level."""


_ITEMS_OF_SERIES: Final = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(ITEMS, st.sampled_from(("P1", "p1", "P10", "S", "")))),
    min_size=1,
    max_size=2,
)


def _some(of: Sequence[str], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of), min_size=1, max_size=most, unique=True)


# A new study is what costs most.
_SOME_STUDIES: Final = _some(STUDIES, 2)
_SOME_SERIES: Final = _some(SERIES, 2)
_SOME_INSTANCES: Final = _some(INSTANCES, 2)


@st.composite
def _files(draw: st.DrawFn, *, may_differ: bool) -> tuple[Written, ...]:
    """A few studies with a few series; now and then an instance says something else of its study."""
    found = []
    for study in draw(_SOME_STUDIES):
        of_study = draw(_LEVEL_TEXTS[Level.STUDY])
        for series in draw(_SOME_SERIES):
            of_series = draw(_LEVEL_TEXTS[Level.SERIES])
            items = draw(_ITEMS_OF_SERIES) if draw(st.booleans()) else None
            for instance in draw(_SOME_INSTANCES):
                if may_differ and not draw(st.integers(0, 5)):
                    of_study = of_study | draw(_LEVEL_TEXTS[Level.STUDY])
                texts = {"PatientID": "", "SOPClassUID": CLASSES[0]} | of_study | of_series
                texts |= {"SOPClassUID": draw(st.sampled_from(CLASSES)), **draw(_LEVEL_TEXTS[Level.INSTANCE])}
                found.append(Written((study, series, instance), tuple(texts.items()), _frozen(items)))
    return tuple(found)


def _frozen(items: list[Texts] | None) -> tuple[tuple[tuple[str, str], ...], ...] | None:
    return None if items is None else tuple(tuple(item.items()) for item in items)


@st.composite
def _events(draw: st.DrawFn) -> tuple[Store | Delete, ...]:
    events: list[Store | Delete] = [Store(draw(_files(may_differ=True)), replaces=False)]
    if draw(st.sampled_from((False, True, False))):
        # An upsert writes what is new before what it replaces, so its order decides nothing.
        replaces = draw(st.integers(0, 3)) > 0
        events.append(Store(draw(_files(may_differ=not replaces)), replaces))
    if draw(st.booleans()):
        first = draw(st.sampled_from(events))
        assert isinstance(first, Store)
        uids = draw(st.sampled_from(first.files)).uids
        events.append(Delete(uids[: draw(st.integers(1, 3))]))
    return tuple(events)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """An archive and some queries, most of them for what is or was in it."""
    events = draw(_events())
    files = [file for event in events if isinstance(event, Store) for file in event.files]
    asked = [draw(queries(files)) for _ in range(draw(st.sampled_from((1, 2, 3, 4, 5, 6, 6, 6))))]
    return Story(events, tuple(asked))
