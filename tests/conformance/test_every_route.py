"""What holds of every address that answers GET: how leniently it is asked, and what HEAD gives.

Source: clients section 4; checklist 4, 7, 8a, 8b and 56. What each answers is tested by transaction.
"""

import httpx
import pytest

from local.dev.service import Service
from tests.archive import Archive
from tests.conftest import StartService
from tests.factories import make_image, new_uid

IMAGE = make_image(2)
STUDY, SERIES = f"studies/{IMAGE.study}", IMAGE.series_path
URI = f"wado?requestType=WADO&studyUID={IMAGE.study}&seriesUID={IMAGE.series}&objectUID={IMAGE.instance}"

ROUTES = (
    "studies",
    "series",
    "instances",
    f"{STUDY}/series",
    f"{STUDY}/instances",
    f"{SERIES}/instances",
    STUDY,
    SERIES,
    IMAGE.path,
    f"{STUDY}/metadata",
    f"{SERIES}/metadata",
    f"{IMAGE.path}/metadata",
    f"{IMAGE.path}/frames/1",
    f"{IMAGE.path}/frames/1,2",
    f"{STUDY}/bulkdata",
    f"{SERIES}/bulkdata",
    f"{IMAGE.path}/bulkdata",
    f"{IMAGE.path}/bulkdata/7FE00010",
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds the instance above, for tests that only read it."""
    archive = Archive.fresh(http, service.url)
    archive.keep(IMAGE)
    return archive


@pytest.mark.parametrize("route", ROUTES)
def test_open_wishes_are_met_on_every_route(kept: Archive, route: str) -> None:
    """Checklist 4, 5 and 8a: joined by accident, too; and with the parameter that dcm4che adds."""
    wishes = (None, "*", "*/*", 'multipart/related; type="*/*"', "multipart/related", BROWSER, JAVA, ";,")

    found = {wish: kept.get(route, wish) for wish in wishes}
    queried = kept.get(f"{route}?accept=*", JAVA)

    assert {wish: answer.status_code for wish, answer in found.items()} == dict.fromkeys(wishes, 200)
    assert (
        len({found[wish].headers["Content-Type"] for wish in wishes if "multipart" not in (wish or "")}) == 1
    )
    assert queried.status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_what_no_route_offers_is_406_in_plain_words(kept: Archive, route: str) -> None:
    """Checklist 7: also of what does not exist, as Accept is judged before the lookup."""
    unknown = route.replace(IMAGE.study, new_uid())

    for path in (route, unknown):
        answer = kept.get(path, "application/x-unheard-of")
        assert answer.status_code == 406
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "Accept" in answer.text


@pytest.mark.parametrize("tail", ["/", "?", "/?", "?&x=y", "?_=123", "/?_=123"])
@pytest.mark.parametrize("route", ROUTES)
def test_stray_characters_change_nothing(kept: Archive, route: str, tail: str) -> None:
    """Checklist 8b; an unknown parameter is a filter to searches, which pass it over with a warning."""
    plain, odd = kept.get(route), kept.get(route + tail)

    assert odd.status_code == 200, odd.text
    assert odd.content == plain.content


@pytest.mark.parametrize("route", ROUTES)
def test_head_is_get_without_the_body(kept: Archive, route: str) -> None:
    """Checklist 56, RFC 9110 section 9.3.2."""
    got, head = kept.get(route), kept.ask("HEAD", route)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "ETag", "Vary", "Accept-Ranges"):
        assert head.headers.get(name) == got.headers.get(name), name
    assert head.headers.get("Content-Length") in (None, got.headers.get("Content-Length", "chunked"))


@pytest.mark.parametrize(
    ("tail", "accept"),
    [
        ("", "application/zip"),
        ("/metadata", "application/dicom+json"),
        ("/bulkdata", 'multipart/related; type="application/octet-stream"'),
    ],
)
def test_head_does_not_tell_a_length_that_nobody_knows(kept: Archive, tail: str, accept: str) -> None:
    """RFC 9110 section 8.6: least of all none."""
    head = kept.ask("HEAD", f"studies/{IMAGE.study}{tail}", accept)

    assert (head.status_code, head.content) == (200, b"")
    assert "Content-Length" not in head.headers


@pytest.fixture(scope="module")
def strict(start: StartService, http: httpx.Client) -> Archive:
    """An archive that goes by the letter."""
    archive = Archive.fresh(http, start({"DICOM_REQUIRE_ACCEPT": "true"}).url)
    archive.keep(IMAGE)
    return archive


@pytest.mark.parametrize("route", [*ROUTES, URI])
def test_a_missing_accept_header_is_refused_where_that_is_wanted(strict: Archive, route: str) -> None:
    """Section 4.1 step 1, checklist 8a: before the lookup, also where the query says what is wanted."""
    separator = "&" if "?" in route else "?"

    assert strict.get(route).status_code == 406
    assert strict.get(f"{route}{separator}accept=*").status_code == 406
    assert strict.get(route.replace(IMAGE.study, new_uid())).status_code == 406
    assert strict.get(route, "application/dicom, */*").status_code == 200
