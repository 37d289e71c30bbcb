"""Which blobs a purge removes."""

from datetime import UTC, datetime

import pytest

from shared.storage.keys import StudyKey
from shared.storage.pending import Purge
from shared.storage.rows import Change, InstanceRow, Location
from shared.upkeep.purge import plan_removal

DETAILS = ("m", "f", "b")


@pytest.mark.parametrize("kept", DETAILS)
def test_no_detail_goes_that_a_row_names(kept: str) -> None:
    """A store whose answer was lost made the instance again, with the details of the one that was deleted."""
    place = Location("x.dcm", 0, 1)
    change = Change("1", "2", 3, place, DETAILS)
    due = Purge(StudyKey("p", "1"), 4, datetime(2024, 1, 1, tzinfo=UTC), (change,), "")
    names = {detail: detail if detail == kept else "" for detail in DETAILS}
    row = InstanceRow(
        study="1",
        series="1",
        instance="2",
        version=3,
        location=place,
        transfer_syntax="",
        values={},
        metadata=b"",
        frames=b"",
        has_frames=True,
        etag="",
        metadata_blob=names["m"],
        frames_blob=names["f"],
        bulk_blob=names["b"],
    )

    removal = plan_removal([due], [row], [], [])

    assert removal.blobs == ()
    assert set(removal.details) == set(DETAILS) - {kept}
