"""What an account holds once all is quiet and swept: nothing that no row names, and nothing half done."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import merge
from tests.faults.checker import Told, problems
from tests.faults.crashing import end_lease
from tests.faults.driver import Emit, Sweep, connect
from tests.faults.files import Address
from tests.faults.snapshot import read_snapshot


async def problems_left(connection: str, stored: Mapping[Address, bytes]) -> Sequence[str]:
    """Finish what a sweep finishes, in an account whose service has stopped, and tell what is wrong then.

    Args:
        connection: Of the account.
        stored: The bytes of every instance that clients found.
    """
    storage = connect(connection)
    try:
        await _sweep(storage)
        told = Told({address: [content] for address, content in stored.items()}, {*stored})
        return problems(await read_snapshot(storage), told)
    finally:
        await storage.aclose()


async def _sweep(storage: Storage) -> None:
    await end_lease(storage)
    await Emit().run(storage)
    past = {"due": datetime.now(UTC) - timedelta(seconds=1)}
    for row in (await read_snapshot(storage)).tables[keys.ACTIVE]:
        await storage.tables.transact(keys.ACTIVE, row.partition, [merge(row.row, past)])
    await Sweep().run(storage)
