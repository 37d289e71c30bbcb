"""What a sweep reports."""

from shared.upkeep.sweep import Mended


def test_what_was_mended_adds_up() -> None:
    """Each count for itself; nothing is the neutral element."""
    one = Mended(studies=1, changes=2, blobs=3, joined=6, purges=5, failed=4)

    total = Mended() + one + Mended(studies=1) + Mended(blobs=4)

    assert total == Mended(studies=2, changes=2, blobs=7, joined=6, purges=5, failed=4)
