"""When timers are due."""

from datetime import UTC, datetime

import pytest

from local.cron import BadSchedule, parse_schedule


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("0 */5 * * * *", "2026-03-01T10:02:00", "2026-03-01T10:05:00"),
        ("0 */5 * * * *", "2026-03-01T10:05:00", "2026-03-01T10:10:00"),
        ("* * * * * *", "2026-03-01T23:59:59.700", "2026-03-02T00:00:00"),
        ("5/20 * * * * *", "2026-03-01T00:00:26", "2026-03-01T00:00:45"),
        ("0 0 3 * * *", "2026-12-31T03:00:00", "2027-01-01T03:00:00"),
        ("0 30 9 * * mon-fri", "2026-03-06T10:00:00", "2026-03-09T09:30:00"),
        ("0 0 0 * * 0", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 0 * * Sunday", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("0 0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 13 * 5", "2026-03-14T00:00:00", "2026-11-13T00:00:00"),
        ("0 0 0 1 jan,JUL *", "2026-02-01T00:00:00", "2026-07-01T00:00:00"),
        ("10-20/5 0 0 1 1 *", "2026-01-01T00:00:15", "2026-01-01T00:00:20"),
        ("*/15 * * * *", "2026-03-01T10:01:30", "2026-03-01T10:15:00"),
        ("00:05:00", "2026-03-01T10:01:30", "2026-03-01T10:06:30"),
        ("0 59 23 31 12 *", "2026-12-31T23:59:00", "2027-12-31T23:59:00"),
    ],
)
def test_a_schedule_is_next_due(schedule: str, after: str, due: str) -> None:
    assert parse_schedule(schedule).after(moment(after)) == moment(due)


def test_a_date_that_does_not_exist_is_never_due() -> None:
    assert parse_schedule("0 0 0 30 2 *").after(moment("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "*/0 * * * * *",
        "5-3 * * * * *",
        "a * * * * *",
        "1, * * * * *",
        "* * * * * * *",
        "* * * * * fr",
        "00:00:00",
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(schedule: str) -> None:
    with pytest.raises(BadSchedule):
        parse_schedule(schedule)
