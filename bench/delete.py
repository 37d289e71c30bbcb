"""Measures deleting whole studies: against one query for the rows and one transaction that deletes them."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.files import ELSEWHERE, SMALL, Place, make_file
from bench.load import Answer, Server, Work, drive
from bench.raw import Raw
from bench.stage import OWN, Case, Stage
from bench.store import ROW_BYTES

INSTANCES: Final = 10
_FILLING_CALLERS: Final = 4


async def cases(stage: Stage) -> list[Case]:
    """Prepare the measurements of deleting."""
    await stage.raw.make_table(OWN)
    web, raw = partial(_studies, stage), partial(_raw, stage)
    return [Case(f"delete a study of {INSTANCES} x 20 KB", callers, web, raw) for callers in (1, 4)]


async def _studies(stage: Stage, server: Server, count: int) -> list[Work]:
    run = next(stage.runs)
    stores = [
        server.store(
            [make_file(Place(run, ELSEWHERE + study, 0, number), SMALL) for number in range(INSTANCES)]
        )
        for study in range(count)
    ]
    await drive(stores, _FILLING_CALLERS)
    return [server.delete(f"studies/{Place(run, ELSEWHERE + study).study_uid}") for study in range(count)]


async def _raw(stage: Stage, count: int) -> list[Work]:
    run = next(stage.runs)
    rows: Sequence[tuple[str, bytes | None]] = [(f"{each:04}", bytes(ROW_BYTES)) for each in range(INSTANCES)]
    for study in range(count):
        await stage.raw.transact(OWN, f"{run}-{study}", rows)
    return [partial(_delete, stage.raw, f"{run}-{study}") for study in range(count)]


async def _delete(raw: Raw, study: str) -> Answer:
    found = await raw.query(OWN, f"PartitionKey eq '{study}'", INSTANCES)
    await raw.transact(OWN, study, [(f"{each:04}", None) for each in range(INSTANCES)])
    return Answer(len(found))
