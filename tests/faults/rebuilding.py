"""Rebuilding the search index, and spoiling it, as steps of processes that may be killed at any moment."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.storage.storage import Storage
from shared.storage.tables import Operation, Row, delete, greater_or_equal, upsert_replace
from shared.storage.terms import INDEX_TABLES
from shared.upkeep.rebuild import TURN_SECONDS, rebuild
from tests.faults.driver import Value

NOBODY = "9.9.9"
"""A study that never was."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """The function of the queue, for one message. Gives how the operation stands."""

    operation: str
    turn_seconds: float = TURN_SECONDS

    async def run(self, storage: Storage) -> Value:
        return await rebuild(storage, self.operation, self.turn_seconds)


@dataclass(frozen=True, slots=True)
class Spoil:
    """Whatever may befall an index: of each table rows go, change, and come that lead to nothing."""

    study: str
    patient: str
    other: str
    """A patient of another time: the study has rows of this one that it may be about to have again."""

    async def run(self, storage: Storage) -> Value:
        everything = greater_or_equal("PartitionKey", " ")
        for number, table in enumerate(INDEX_TABLES):
            rows = [row async for page in storage.tables.query(table, everything) for row in page]
            for place, row in enumerate(rows):
                for partition, operation in self._damage(row, number + place):
                    await storage.tables.transact(table, partition, [operation])
        return "spoilt"

    def _damage(self, row: Row, number: int) -> Iterator[tuple[str, Operation]]:
        stale = row.partition.replace(self.patient, self.other)
        if stale != row.partition:
            yield stale, upsert_replace(row.row, row.values)
        if number % 3 == 0:
            yield row.partition, delete(row.row)
        if number % 3 == 1:
            yield row.partition, upsert_replace(row.row, {"values": b"?"})
        if number % 3 == 2:
            yield row.partition, upsert_replace(row.row.replace(self.study, NOBODY), row.values)
            yield f"{row.partition}0", upsert_replace(row.row, row.values)
            yield row.partition, upsert_replace("0", row.values)
