from shared.storage.connection import Connection
from shared.storage.leases import Leases
from shared.storage.wire import Wire
from tests.unit.storage.faulty import Proxy, lost
from tests.unit.storage.using import spoiled, using


def test_a_lease_has_one_holder_until_it_is_given_back(connection: Connection, fresh: str) -> None:
    async def act(leases: Leases) -> tuple[str | None, bool, bool, str | None, bool, bool]:
        first = await leases.acquire(fresh, "feed/writer", 15)
        assert first is not None
        second = await leases.acquire(fresh, "feed/writer", 15)
        renewed = await leases.renew(fresh, "feed/writer", first)
        released = await leases.release(fresh, "feed/writer", first)
        third = await leases.acquire(fresh, "feed/writer", 15)
        late = await leases.renew(fresh, "feed/writer", first)
        later = await leases.release(fresh, "feed/writer", first)
        return second, renewed, released, third, late, later

    second, renewed, released, third, late, later = using(connection, lambda wire: act(Leases(wire)))

    assert (second, renewed, released) == (None, True, True)
    assert third is not None
    assert (late, later) == (False, False)


def test_a_lease_whose_answer_was_lost_is_still_ours(connection: Connection, fresh: str) -> None:
    async def make(wire: Wire) -> None:
        leases = Leases(wire)
        lease = await leases.acquire(fresh, "x", 15)
        await leases.release(fresh, "x", lease or "")

    async def act(wire: Wire, _proxy: Proxy) -> bool:
        leases = Leases(wire)
        lease = await leases.acquire(fresh, "x", 15)
        return lease is not None and await leases.renew(fresh, "x", lease)

    using(connection, make)

    assert spoiled(connection, [lost], act)
