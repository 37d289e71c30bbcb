"""What a process remembers is bounded, by number or by weight."""

from shared.storage.cache import RecentlyUsed


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    memory = RecentlyUsed[str, int](2)
    memory.put("a", 1)
    memory.put("b", 2)
    memory.get("a")

    memory.put("c", 3)

    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_heavy_values_take_the_place_of_several() -> None:
    memory = RecentlyUsed[str, bytes](10, len)
    for key in "abc":
        memory.put(key, b"123")

    memory.put("d", b"12345")

    assert [memory.get(key) for key in "abcd"] == [None, None, b"123", b"12345"]


def test_a_value_heavier_than_all_is_not_remembered() -> None:
    memory = RecentlyUsed[str, bytes](10, len)

    memory.put("a", bytes(11))

    assert memory.get("a") is None


def test_replaced_and_forgotten_values_weigh_nothing() -> None:
    memory = RecentlyUsed[str, bytes](10, len)
    memory.put("a", bytes(8))
    memory.put("a", bytes(4))
    memory.put("b", bytes(4))
    memory.forget("b")
    memory.forget("nothing")

    memory.put("c", bytes(6))

    assert memory.get("a") == bytes(4)
    assert memory.get("c") == bytes(6)
