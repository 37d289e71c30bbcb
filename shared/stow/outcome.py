"""What becomes of each part of a store request, and the answer made of it. Pure.

Source: API rules sections 3.5 to 3.7.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from shared.dicom.part10 import Identity
from shared.dicom.uid import MAX_UID_CHARACTERS

MAX_COMMENTS = 5_000
"""Of all parts of a request. What lies beyond is not told; that there was something is, by the status."""

Element = Mapping[str, object]
Dataset = dict[str, Element]


SEVERAL_VALUES = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
"""L-16 of the API rules."""


class Failure(IntEnum):
    """Why an instance was not stored (API rules section 3.7).

    45071, "creation in progress or left over from an earlier failure", is not among them. It tells of an
    instance that was reserved and not committed; here nothing is reserved: one transaction makes an instance
    exist, so that every other request finds all of it or nothing.
    """

    PROCESSING = 272
    VALIDATION = 43264
    EXISTS = 45070


class Warned(IntEnum):
    """What is odd about an instance that was stored."""

    ATTRIBUTES = 1
    IMPLICIT_VR = 45063


@dataclass(frozen=True, slots=True)
class Refused:
    """A part that was not stored."""

    reason: Failure
    identity: Identity | None = None
    """As far as it could be read."""

    comments: tuple[str, ...] = ()
    """One for each attribute that is wrong."""

    def __post_init__(self) -> None:
        """Keep no more of a UID than one may have: in its place may stand a megabyte of anything."""
        if self.identity:
            object.__setattr__(self, "identity", _cut(self.identity))


def _cut(identity: Identity) -> Identity:
    uids = (identity.study, identity.series, identity.instance, identity.sop_class)
    return Identity(*(uid[:MAX_UID_CHARACTERS] for uid in uids))


@dataclass(frozen=True, slots=True)
class Stored:
    """A part that was stored."""

    identity: Identity
    warning: Warned | None = None
    comments: tuple[str, ...] = ()
    first_value_only: bool = False
    """Whether it has an attribute with several values of which searches know the first only."""


Outcome = Stored | Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and dataset of a store response; no dataset with 204."""

    status: int
    dataset: Dataset | None
    warning: str | None = None
    """For the Warning header: what the client should know though the status may not tell."""


def make_answer(
    outcomes: Sequence[Outcome],
    *,
    is_v1: bool,
    study_url: str | None,
    instance_url: Callable[[Identity], str],
) -> Answer:
    """Work out the response to a store request.

    Args:
        outcomes: What became of each part, in order.
        is_v1: Whether the request came by v1, where a warning leaves the status at 200.
        study_url: URL of the study in the path, if there was one.
        instance_url: Makes the absolute URL of a stored instance.
    """
    if not outcomes:
        return Answer(204, None)
    stored = [item for item in outcomes if isinstance(item, Stored)]
    refused = [item for item in outcomes if isinstance(item, Refused)]
    dataset: Dataset = {}
    if study_url and stored:
        dataset["00081190"] = _element("UR", study_url)
    if refused:
        dataset["00081198"] = _element("SQ", *map(_failed_item, refused))
    if stored:
        items = (_stored_item(item, instance_url(item.identity), is_v1=is_v1) for item in stored)
        dataset["00081199"] = _element("SQ", *items)
    warning = SEVERAL_VALUES if any(item.first_value_only for item in stored) else None
    return Answer(_status(stored, refused, is_v1=is_v1), dataset, warning)


def _status(stored: Sequence[Stored], refused: Sequence[Refused], *, is_v1: bool) -> int:
    if not stored:
        return 409
    warned = not is_v1 and any(item.warning for item in stored)
    return 202 if refused or warned else 200


def _failed_item(refused: Refused) -> Dataset:
    item: Dataset = {}
    if refused.identity and refused.identity.sop_class:
        item["00081150"] = _element("UI", refused.identity.sop_class)
    if refused.identity and refused.identity.instance:
        item["00081155"] = _element("UI", refused.identity.instance)
    item["00081197"] = _element("US", int(refused.reason))
    if refused.comments:
        item["00741048"] = _comments(refused.comments)
    return item


def _stored_item(stored: Stored, url: str, *, is_v1: bool) -> Dataset:
    item: Dataset = {
        "00081150": _element("UI", stored.identity.sop_class),
        "00081155": _element("UI", stored.identity.instance),
        "00081190": _element("UR", url),
    }
    if stored.warning:
        item["00081196"] = _element("US", int(stored.warning))
    if stored.comments or not is_v1:
        item["00741048"] = _comments(stored.comments)
    return item


def _comments(comments: Sequence[str]) -> Element:
    return _element("SQ", *({"00000902": _element("LO", comment)} for comment in comments))


def _element(vr: str, *values: object) -> Element:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}
