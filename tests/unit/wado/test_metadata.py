"""Entity tags of metadata (API rules section 7.3)."""

from shared.storage.keys import Scope, study_key
from shared.wado.metadata.retrieve import make_etag

KEY = study_key("p", "1")


def test_an_instance_has_its_version() -> None:
    """`{watermark}`."""
    assert make_etag(Scope(KEY, "2", "3"), [17]) == "17"


def test_a_study_or_series_has_the_highest_version_and_the_number_of_instances() -> None:
    """`{highest watermark}-{number of instances}`, whatever the order."""
    assert make_etag(Scope(KEY), [17, 40, 3]) == "40-3"
    assert make_etag(Scope(KEY, "2"), [3]) == "3-1"
