"""When a timer is due: NCRONTAB schedules, in UTC.

Six fields (second, minute, hour, day, month, weekday), or five without the seconds. A day must fit both its
number and its weekday, unlike in Unix cron. A plain time span such as 00:05:00 is a fixed distance.
"""

import datetime
import itertools
import re
from dataclasses import dataclass

from local.settings import parse_span

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

FIELDS = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("weekday", 0, 6, DAYS),
)

FAR_YEARS = 9
"""A schedule without a date in so many years is never due, such as 30 February; leap days skip eight."""


class BadSchedule(ValueError):
    """A schedule that cannot be read; the message says which part."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The moments at which a timer is due."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""

    every_seconds: float | None = None
    """The distance of a schedule that is a time span; the fields above then mean nothing."""

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Find the first moment due after the one given, in UTC; None when there is none."""
        if self.every_seconds is not None:
            return moment + datetime.timedelta(seconds=self.every_seconds)
        start = moment.replace(microsecond=0) + datetime.timedelta(seconds=1)
        day, last = start.date(), start.year + FAR_YEARS
        while day.year <= last and day < datetime.date.max:
            if self.is_on(day):
                time = self.first_time(start.time() if day == start.date() else datetime.time())
                if time is not None:
                    return datetime.datetime.combine(day, time, tzinfo=datetime.UTC)
            day += datetime.timedelta(days=1)
        return None

    def is_on(self, day: datetime.date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def first_time(self, start: datetime.time) -> datetime.time | None:
        """Find the first time of a day at or after the one given."""
        hours = [hour for hour in self.hours if hour >= start.hour]
        for time in itertools.product(hours, self.minutes, self.seconds):
            if time >= (start.hour, start.minute, start.second):
                return datetime.time(*time)
        return None


def parse_schedule(text: str) -> Schedule:
    """Read a schedule.

    Raises:
        BadSchedule: It breaks the rules.
    """
    span = parse_span(text)
    if span is not None:
        if span <= 0:
            raise BadSchedule(f"the schedule {text!r} is no time at all")
        return Schedule((), (), (), frozenset(), frozenset(), frozenset(), span)
    parts = text.split()
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != 6:
        raise BadSchedule(f"the schedule {text!r} must have six fields: second minute hour day month weekday")
    found = [parse_field(part, field) for part, field in zip(parts, FIELDS, strict=True)]
    seconds, minutes, hours = (tuple(sorted(each)) for each in found[:3])
    return Schedule(seconds, minutes, hours, found[3], found[4], found[5])


def parse_field(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> frozenset[int]:
    return frozenset(value for part in text.split(",") for value in parse_part(part, field))


def parse_part(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> range:
    """Read `*`, a value, a range, or one of them with a step."""
    name, low, high, _ = field
    found = re.fullmatch(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", text)
    if not found:
        raise BadSchedule(f"{text!r} cannot be the {name} of a schedule")
    star, first, last, step = found.groups()
    start = low if star else read_value(first, field)
    # A value with a step runs to the end of the field: 5/15 is 5, 20, 35, 50.
    end = high if star or (step and not last) else read_value(last or first, field)
    if step == "0" or start > end or not (low <= start and end <= high):
        raise BadSchedule(f"{text!r} cannot be the {name} of a schedule; it runs from {low} to {high}")
    return range(start, end + 1, int(step or 1))


def read_value(text: str, field: tuple[str, int, int, tuple[str, ...]]) -> int:
    name, low, _, words = field
    if text.isascii() and text.isdigit():
        return int(text)
    for index, word in enumerate(words):
        if len(text) >= 3 and word.startswith(text.lower()):
            return index + low
    raise BadSchedule(f"{text!r} cannot be the {name} of a schedule")
