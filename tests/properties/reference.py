"""An archive in memory that answers searches by looking at everything: what the service must agree with.

What a study and a series say of themselves, and who is found in which order, is told by API rules sections
3.9, 8.1, 8.4 and 8.8. How one value matches is in `matching.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count, pairwise
from typing import Any, Final

from tests.properties import matching


class Level(IntEnum):
    """What is searched for."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


UID_OF: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

ATTRIBUTES: Final[Mapping[Level, Mapping[str, str]]] = {
    Level.STUDY: {
        "StudyInstanceUID": "UI", "StudyDate": "DA", "StudyTime": "TM", "AccessionNumber": "SH",
        "ModalitiesInStudy": "CS", "ReferringPhysicianName": "PN", "StudyDescription": "LO",
        "PatientName": "PN", "PatientID": "LO", "PatientBirthDate": "DA", "StudyID": "SH",
    },
    Level.SERIES: {
        "SeriesInstanceUID": "UI", "Modality": "CS", "SeriesNumber": "IS", "ManufacturerModelName": "LO",
        "PerformedProcedureStepStartDate": "DA", "PerformedProcedureStepStartTime": "TM",
        "RequestAttributesSequence": "SQ",
    },
    Level.INSTANCE: {"SOPInstanceUID": "UI", "SOPClassUID": "UI", "InstanceNumber": "IS"},
}  # fmt: skip
"""What can be searched (section 8.3, PS3.18 table 10.6.1-5) and its VR."""

VRS: Final = {name: vr for level in ATTRIBUTES.values() for name, vr in level.items()}

ITEMS: Final = {"ScheduledProcedureStepID": "00400009", "RequestedProcedureID": "00401001"}
"""The members of Request Attributes Sequence that can be searched."""

PAIRS: Final = (
    ("StudyDate", "StudyTime"),
    ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
)

Values = dict[str, list[Any]]
"""Values by keyword, as in DICOM JSON; an attribute without any is absent."""


@dataclass(frozen=True, slots=True)
class File:
    """What an instance says that is stored: its UIDs and what searches may look at, of all levels."""

    study: str
    series: str
    instance: str
    values: Values


@dataclass(slots=True)
class Instance:
    """A stored instance."""

    version: int
    values: Values


@dataclass(slots=True)
class Series:
    """A series, as its instances left it."""

    created: int
    values: Values = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)


@dataclass(slots=True)
class Study:
    """A study, as its instances left it."""

    created: int
    values: Values = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One search key, its value decoded."""

    name: str
    """Keyword, or the path of a member of a sequence."""

    value: str


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, of which resource."""

    level: Level
    keys: tuple[Key, ...] = ()
    study: str | None = None
    series: str | None = None
    fuzzy: bool = False
    every: bool = False
    """`multiplevaluematching=true`."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Whose attributes may be asked for and are answered with (section 8.1)."""
        first = 0 if self.study is None else 1 if self.series is None else 2
        return tuple(Level)[first : self.level + 1]


@dataclass(frozen=True, slots=True)
class Found:
    """Something that matches, with what it says and when it came."""

    uids: tuple[str, ...]
    """Of study, series and instance, as far as the level goes."""

    values: Values
    arrived: tuple[int, ...]
    """When the study and the series were made and the instance was stored."""


class Reference:
    """The archive."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = {}
        self._clock = count(1)

    def store(self, files: Iterable[File], *, replaces: bool = False) -> None:
        """Store the files of one request; what is stored already stays, or is replaced by an upsert."""
        began = next(self._clock)
        for file in files:
            # What one request makes is made at one moment: nothing tells which came first.
            study = self.studies.get(file.study) or Study(began)
            series = study.series.get(file.series) or Series(began)
            if file.instance in series.instances and not replaces:
                continue
            self.studies[file.study], study.series[file.series] = study, series
            _overwrite(study.values, file.values, Level.STUDY)
            _overwrite(series.values, file.values, Level.SERIES)
            own = {name: file.values[name] for name in ATTRIBUTES[Level.INSTANCE] if name in file.values}
            # Nor does an upsert say so, which writes what is new before what it replaces.
            series.instances[file.instance] = Instance(began if replaces else next(self._clock), own)

    def delete(self, *uids: str) -> bool:
        """Delete a study, a series or an instance; whether there was one."""
        study, series, instance = (*uids, None, None)[:3]
        gone = False
        for owner, one, item in list(self._instances()):
            if owner == study and series in (None, one) and instance in (None, item):
                gone = True
                del self.studies[owner].series[one].instances[item]
                if not self.studies[owner].series[one].instances:
                    del self.studies[owner].series[one]
                if not self.studies[owner].series:
                    del self.studies[owner]
        return gone

    def find(self, query: Query) -> list[Found]:
        """Everything that matches, in no order."""
        found = {each.uids: each for each in self._everything(query) if _matches(query, each.values)}
        return list(found.values())

    def _instances(self) -> Iterator[tuple[str, str, str]]:
        for study, of_study in self.studies.items():
            for series, of_series in of_study.series.items():
                for instance in of_series.instances:
                    yield study, series, instance

    def _everything(self, query: Query) -> Iterator[Found]:
        for uids in self._instances():
            if query.study in (None, uids[0]) and query.series in (None, uids[1]):
                yield self._describe(uids[: query.level + 1])

    def _describe(self, uids: tuple[str, ...]) -> Found:
        study = self.studies[uids[0]]
        named = (name for each in study.series.values() for name in each.values.get("Modality", ()))
        modalities = {name.strip(matching.PADDING) for name in named}
        values = {**study.values, **({"ModalitiesInStudy": sorted(modalities)} if modalities else {})}
        arrived = [study.created]
        if len(uids) > Level.SERIES:
            series = study.series[uids[1]]
            values |= series.values
            arrived.append(series.created)
        if len(uids) > Level.INSTANCE:
            instance = series.instances[uids[2]]
            values |= instance.values
            arrived.append(instance.version)
        values |= {name: [uid] for name, uid in zip(UID_OF, uids, strict=False)}
        return Found(uids, values, tuple(arrived))


def _overwrite(values: Values, new: Values, level: Level) -> None:
    values |= {name: new[name] for name in ATTRIBUTES[level] if new.get(name)}


def _matches(query: Query, values: Values) -> bool:
    asked = {key.name: key.value for key in query.keys}
    if not _items_match(asked, values.get("RequestAttributesSequence", [])):
        return False
    for date, time in PAIRS:
        if _are_one_range(asked, date, time):
            dates, times = asked.pop(date), asked.pop(time)
            pairs = zip(values.get(date, ()), values.get(time, ("",)), strict=False)
            if not any(matching.matches_moment(dates, times, *pair) for pair in pairs):
                return False
    return all(_key_matches(query, name, text, values) for name, text in asked.items() if "." not in name)


def _are_one_range(asked: Mapping[str, str], date: str, time: str) -> bool:
    if date not in asked or time not in asked:
        return False
    form = matching.form_of(asked[date])
    return "-" in form and form == matching.form_of(asked[time])


def _items_match(asked: Mapping[str, str], items: Sequence[Any]) -> bool:
    """Sequence matching (C.2.2.2.6): one item matches all that is asked of its sequence."""
    members = [(name.split(".")[1], text) for name, text in asked.items() if "." in name]
    # What matches everything asks for nothing, not for an item either.
    wanted = [(ITEMS[name], text) for name, text in members if not matching.is_universal(text)]
    return not wanted or any(
        all(matching.matches_any("SH", text, item.get(tag, {}).get("Value", [])) for tag, text in wanted)
        for item in items
    )


def _key_matches(query: Query, name: str, text: str, values: Values) -> bool:
    vr, own = VRS[name], values.get(name, [])
    if vr != "CS":
        return matching.matches_any(vr, text, own, fuzzy=query.fuzzy)
    pieces = matching.listed(text)
    if query.every and name == "ModalitiesInStudy" and len(pieces) > 1:
        return matching.matches_all(pieces, own)
    return any(matching.matches_any(vr, piece, own) for piece in pieces)


@dataclass(frozen=True, slots=True)
class Order:
    """How a result may be ordered: by a date, if one is named, and within it newest first."""

    date: str = ""
    """Keyword of the date, or empty."""

    first: Level | None = None
    """Newest first by this level, and below it by the next; None counts the level searched for alone."""


def orders(query: Query) -> list[Order]:
    """The orders of which a result must have one, the same on all its pages.

    Newest first (section 8.8), or, where dates are asked for, by one of those dates and then newest first.
    What lies below studies or series may come study by study, or series by series.
    """
    if query.study is not None:
        return [Order()]
    dates = [
        Order(key.name, level)
        for key in query.keys
        for level in query.levels
        if ATTRIBUTES[level].get(key.name) == "DA"
    ]
    return [Order(), Order(first=Level.STUDY), Order(first=Level.SERIES), *dates]


def is_ordered(found: Sequence[Found], order: Order) -> bool:
    """Whether a result has an order; what came at one moment may stand either way round."""
    return all(_may_follow(one, other, order) for one, other in pairwise(found))


def _may_follow(one: Found, other: Found, order: Order) -> bool:
    if order.date and one.values[order.date] != other.values[order.date]:
        return bool(one.values[order.date] > other.values[order.date])
    if order.first is None:
        return one.arrived[-1] >= other.arrived[-1]
    for level in range(min(order.first, len(one.uids) - 1), len(one.uids)):
        if one.uids[: level + 1] != other.uids[: level + 1]:
            return one.arrived[level] >= other.arrived[level]
    return True
