"""What one search may cost."""

from shared.qido.budget import MAX_SECONDS, Budget
from shared.storage.calls import counted


def test_rows_are_counted_from_where_the_search_began() -> None:
    with counted() as calls:
        calls.rows = 70
        budget = Budget(rows=10)

        calls.rows = 79
        assert budget.allows()
        assert not budget.is_ended
        calls.rows = 80
        assert not budget.allows()
        assert budget.is_ended


def test_time_ends_it_as_well() -> None:
    with counted():
        now = [5.0]
        budget = Budget(seconds=2.0, clock=lambda: now[0])

        now[0] = 6.9
        assert budget.allows()
        now[0] = 7.0
        assert not budget.allows()


def test_it_is_ended_only_for_one_who_wanted_more() -> None:
    """So a search that found all there is has not been ended."""
    with counted():
        budget = Budget()

        budget.close()
        assert not budget.is_ended
        assert not budget.allows()
        assert budget.is_ended


def test_a_search_is_over_before_its_client_gives_up() -> None:
    """Clients section 2.5: Python's dicomweb-client waits 20 s, in which datasets are made too."""
    assert 2 * MAX_SECONDS <= 20
