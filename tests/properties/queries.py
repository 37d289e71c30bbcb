"""Queries that hypothesis makes of an archive: every kind of match, most of them by what one file says."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from tests.properties import samples
from tests.properties.files import CLASSES, INSTANCES, SERIES, STUDIES, Written
from tests.properties.reference import ATTRIBUTES, ITEMS, PAIRS, UID_OF, VRS, Key, Level, Query

_SEQUENCE: Final = "RequestAttributesSequence"
_TIMES: Final = dict(PAIRS)
_MEMBERS: Final = tuple(f"{_SEQUENCE}.{name}" for name in ITEMS)
_PARTNERS: Final = dict(zip(_MEMBERS, reversed(_MEMBERS), strict=True))


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and how much of its answer is wanted at once."""

    query: Query
    limit: int
    """Of each page; none but the first is looked at when it is 0."""

    include: tuple[str, ...]


_KEYS: Final = st.sampled_from((0, 1, 1, 1, 1, 1, 2, 2, 2, 3))
_LIMITS: Final = st.sampled_from((0, 0, 0, 1, 2, 3))
_INCLUDES: Final = st.sampled_from(((), (), (), ("StudyID",), ("SeriesNumber", "StudyTime"), ("all",)))
_RARELY: Final = st.integers(0, 5).map(lambda number: number == 5)


@st.composite
def queries(draw: st.DrawFn, files: Sequence[Written]) -> Asked:
    """A query for one of the files, or for what is like it."""
    target = draw(st.sampled_from(files))
    resource = draw(_resource(target))
    fuzzy = draw(st.booleans())
    names = _askable(resource, target)
    keys: dict[str, str] = {}
    for _ in range(draw(_KEYS)):
        name = draw(st.sampled_from(names))
        keys[name] = draw(_value_for(name, target, fuzzy))
        # Beside a range of dates often one of times: both may be one. Beside a member of an item the other.
        if name in _TIMES and "-" in keys[name] and draw(st.booleans()):
            keys[_TIMES[name]] = draw(_range("TM"))
        if name in _PARTNERS and draw(st.booleans()):
            keys[_PARTNERS[name]] = draw(_value_for(_PARTNERS[name], target, fuzzy))
    asked = tuple(Key(name, value) for name, value in keys.items())
    query = Query(resource.level, asked, resource.study, resource.series, fuzzy, draw(_RARELY))
    return Asked(query, draw(_LIMITS), draw(_INCLUDES))


def _resource(target: Written) -> st.SearchStrategy[Query]:
    study, series, _ = target.uids
    everywhere = [Query(level) for level in Level]
    within = [Query(Level.SERIES, study=study), Query(Level.INSTANCE, study=study)]
    return st.sampled_from([*everywhere, *everywhere, *within, Query(Level.INSTANCE, (), study, series)])


def _askable(resource: Query, target: Written) -> list[str]:
    """What may be asked for; what the file says comes twice as often."""
    own = [name for level in resource.levels for name in ATTRIBUTES[level] if name != _SEQUENCE]
    said = [name for name, text in target.texts if name in own and text]
    if Level.SERIES in resource.levels:
        return [*own, *said, *_MEMBERS, *(_MEMBERS * 2 if target.items else ())]
    return [*own, *said]


def _value_for(name: str, target: Written, fuzzy: bool) -> st.SearchStrategy[str]:
    if name in UID_OF:
        place = UID_OF.index(name)
        uids = (target.uids[place], *(STUDIES, SERIES, INSTANCES)[place])
        return st.lists(st.sampled_from(uids), min_size=1, max_size=2).map("\\".join)
    if "." in name:
        own = [text for item in target.items or () for of_item, text in item if of_item in name and text]
        return _pattern((*own, *own, "P1", "S"))
    if name == "SOPClassUID":
        return st.sampled_from(CLASSES)
    source = "Modality" if name == "ModalitiesInStudy" else name
    return _value_like(VRS[name], [text for said, text in target.texts if said == source], fuzzy)


def _value_like(vr: str, said: Sequence[str], fuzzy: bool) -> st.SearchStrategy[str]:
    bad = (*samples.WRONG[vr], *samples.ODD_DATES)
    known = [text.split("\\")[0] for text in said if text not in bad]
    known = [text for text in known if text.strip(" \0")] or list(samples.RIGHT[vr])
    if vr in ("DA", "TM"):
        return st.one_of(st.sampled_from(known), _range(vr))
    if vr == "IS":
        return st.sampled_from((*known, *samples.RIGHT["IS"]))
    if vr == "CS":
        return st.lists(_pattern((*known, "CT", "MR")), min_size=1, max_size=2).map(",".join)
    if vr == "PN" and fuzzy:
        return _words(known)
    return _pattern(known)


@st.composite
def _range(draw: st.DrawFn, vr: str) -> str:
    values = st.sampled_from(samples.RIGHT[vr])
    first, last = sorted((draw(values), draw(values)), key=_instant)
    return draw(st.sampled_from((f"{first}-{last}", f"{first}-", f"-{last}")))


def _instant(text: str) -> tuple[str, str]:
    whole, _, fraction = text.partition(".")
    return whole.ljust(6, "0"), fraction.ljust(6, "0")


_PLAIN: Final = str.maketrans("", "", '<"\\')
"""What the service refuses in a query, or takes for a separator."""

_UNWILD: Final = str.maketrans("", "", "*?")


def _as_it_is(text: str) -> str:
    return text


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


_LETTERS: Final[tuple[Callable[[str], str], ...]] = (
    _as_it_is, _as_it_is, str.upper, str.lower, _without_accents, _decomposed,
)  # fmt: skip


@st.composite
def _pattern(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """A value, as it is or in other letters, whole or in part."""
    text = draw(st.sampled_from(texts)).translate(_PLAIN)
    if "=" in text and draw(st.booleans()):
        text = draw(st.sampled_from(text.split("=")))
    text = draw(st.sampled_from(_LETTERS))(text) if text.strip(" \0") else "x"
    first = draw(st.integers(0, len(text) - 1))
    last = draw(st.integers(first, len(text)))
    forms = (
        text, text, text, f"{text} ", f"{text[:last]}*", f"*{text[first:]}", f"*{text[first:last]}*",
        f"{text[:first]}*{text[last:]}", f"{text[:first]}?{text[first + 1 :]}", "?" * len(text), "*",
        f"*{text[:first]}?{text[first + 1 : last]}*",
    )  # fmt: skip
    chosen = draw(st.sampled_from(forms))
    return chosen if chosen.strip(" \0") else text


@st.composite
def _words(draw: st.DrawFn, names: Sequence[str]) -> str:
    """Beginnings of some of the words of a name."""
    name = draw(st.sampled_from(names)).translate(_PLAIN).translate(_UNWILD)
    words = [word for word in name.replace("^", " ").replace("=", " ").split(" ") if word.strip("\0")]
    words = words or ["Doe"]
    first = draw(st.integers(0, len(words) - 1))
    chosen = words[first : first + draw(st.integers(1, 3))]
    cut = [word[: draw(st.integers(1, len(word)))] for word in chosen]
    if draw(_RARELY):
        cut.reverse()
    return draw(st.sampled_from(_LETTERS))(draw(st.sampled_from((" ", "^"))).join(cut))
