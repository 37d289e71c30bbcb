"""Damaged and made-up files go through the reader: a file or `NotDicom`, soon, and nothing else."""

from random import Random

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz import cases
from tests.fuzz.claims import examine
from tests.fuzz.damage import damaged_file
from tests.fuzz.made import Made, files


def test_damaged_files_are_read_or_refused() -> None:
    """Real files and the smallest of every form, damaged where it hurts."""

    def look(content: bytes, random: Random) -> None:
        examine(content, random)

    cases.attempt(cases.share(45), cases.Kind("damaged", damaged_file, look, bytes))


@seed(cases.SEED)
@settings(
    max_examples=cases.share(20),
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(made=files(), number=st.integers(0, 1000))
def test_made_up_files_are_read_or_refused(made: Made, number: int) -> None:
    """Datasets of all forms an element can have, well made and not."""
    try:
        examine(made.content, Random(number))
    except Exception:
        # The last one that is kept is the smallest.
        cases.keep(f"made-{cases.SEED}", made.content)
        raise
