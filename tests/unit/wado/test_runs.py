"""Which reads fetch which instances."""

import pytest

from shared.storage.rows import InstanceRow, Location
from shared.wado.runs import MAX_RUN_BYTES, PartHeads, runs


def row(blob: str, start: int, length: int) -> InstanceRow:
    """An instance whose bytes lie there."""
    return InstanceRow(
        study="1",
        series="2",
        instance=f"{blob}.{start}",
        version=start,
        location=Location(blob, start, length),
        transfer_syntax="",
        values={},
        metadata=b"",
        metadata_blob="",
        frames=b"",
        frames_blob="",
        has_frames=False,
        etag="",
    )


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], []),
        ([("a", 0, 10)], [("a", 0, 10)]),
        ([("a", 0, 10), ("a", 10, 5)], [("a", 0, 15)]),
        ([("a", 0, 10), ("b", 10, 5)], [("a", 0, 10), ("b", 10, 5)]),
        ([("a", 0, 10), ("a", 11, 5)], [("a", 0, 10), ("a", 11, 5)]),
        ([("a", 10, 5), ("a", 0, 10)], [("a", 10, 5), ("a", 0, 10)]),
        ([("a", 5, 5), ("a", 10, 5), ("b", 0, 3), ("b", 3, 4)], [("a", 5, 10), ("b", 0, 7)]),
        (
            [("a", 0, MAX_RUN_BYTES - 1), ("a", MAX_RUN_BYTES - 1, 2)],
            [("a", 0, MAX_RUN_BYTES - 1), ("a", MAX_RUN_BYTES - 1, 2)],
        ),
        ([("a", 0, MAX_RUN_BYTES - 1), ("a", MAX_RUN_BYTES - 1, 1)], [("a", 0, MAX_RUN_BYTES)]),
        ([("a", 0, 2 * MAX_RUN_BYTES)], [("a", 0, 2 * MAX_RUN_BYTES)]),
    ],
)
def test_neighbours_are_read_together(
    places: list[tuple[str, int, int]], expected: list[tuple[str, int, int]]
) -> None:
    """Up to a size; what does not follow is read by itself. Order and number of instances stay."""
    rows = [row(*place) for place in places]

    found = runs(rows)

    assert [(run.blob, run.start, run.length) for run in found] == expected
    assert [each for run in found for each in run.rows] == rows


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_every_instance_of_a_run_gets_its_head(size: int) -> None:
    """However the bytes of the run are cut as they come."""
    rows = [row("a", 0, 3), row("a", 3, 1), row("a", 4, 4)]
    heads = PartHeads(rows, {0: b"<0>", 3: b"<1>", 4: b"<2>"})
    stored = b"abcdefgh"

    pieces = [cut for at in range(0, 8, size) for cut in heads.cut(stored[at : at + size])]

    assert b"".join(pieces) == b"<0>abc<1>d<2>efgh"
