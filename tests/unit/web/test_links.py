"""Absolute URLs, from settings, from a gateway's headers, from the request."""

import pytest

from shared.web.links import Links, find_origin, own_origin, resolve


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        ({"host": "localhost:7071"}, "http://localhost:7071/v2"),
        ({"host": "[::1]:7071"}, "http://[::1]:7071/v2"),
        ({"host": "h", "x-forwarded-host": "pacs.example"}, "http://pacs.example/v2"),
        ({"host": "h", "x-forwarded-proto": "https"}, "https://h/v2"),
        ({"host": "h", "x-forwarded-proto": "HTTPS, http", "x-forwarded-host": "a.b, c"}, "https://a.b/v2"),
        ({"host": "h", "x-forwarded-prefix": "/dicom/web/"}, "http://h/dicom/web"),
        ({"host": "h", "x-forwarded-prefix": "/"}, "http://h"),
        (
            {"host": "h", "x-forwarded-host": "", "x-forwarded-prefix": "", "x-forwarded-proto": ""},
            "http://h/v2",
        ),
        ({"host": "h", "x-forwarded-host": 'a"\r\nb', "x-forwarded-proto": "ftp"}, "http://h/v2"),
        ({"host": "h", "x-forwarded-host": "user@evil", "x-forwarded-prefix": "a?b"}, "http://h/v2"),
        ({"host": "a/b"}, "http://localhost/v2"),
        ({}, "http://localhost/v2"),
    ],
)
def test_urls_start_where_the_client_sees_the_service(headers: dict[str, str], root: str) -> None:
    """API rules 1.10 and 19.1."""
    assert find_origin(headers, "http", trust_forwarded=True).links("v2").root == root


def test_forwarded_headers_count_only_where_they_are_trusted() -> None:
    headers = {
        "host": "h",
        "x-forwarded-host": "evil",
        "x-forwarded-proto": "https",
        "x-forwarded-prefix": "p",
    }

    assert find_origin(headers, "http", trust_forwarded=False).links("v1").root == "http://h/v1"


def test_a_configured_url_settles_it() -> None:
    headers = {"host": "h", "x-forwarded-host": "other"}

    origin = find_origin(headers, "http", public_url="https://pacs.example/dicom/", trust_forwarded=True)

    assert origin.links("v2", "north").root == "https://pacs.example/dicom/v2/partitions/north"


def test_a_partition_stands_between_version_and_resource() -> None:
    links = find_origin({"host": "h"}, "https", trust_forwarded=False).links("v1", "Microsoft.Default")

    assert links.study("1.2") == "https://h/v1/partitions/Microsoft.Default/studies/1.2"


def test_every_level_has_its_url() -> None:
    links = Links("http://h/v2")

    assert links.study("1") == "http://h/v2/studies/1"
    assert links.series("1", "2") == "http://h/v2/studies/1/series/2"
    assert links.instance("1", "2", "3") == "http://h/v2/studies/1/series/2/instances/3"


@pytest.mark.parametrize(
    ("base", "address", "absolute"),
    [
        ("http://h/v2/studies", "bulk0", "http://h/v2/bulk0"),
        ("http://h/v2/studies", "/bulk0", "http://h/bulk0"),
        ("http://h/v2/studies", "http://other/x", "http://other/x"),
        ("http://h/v2/studies", "", "http://h/v2/studies"),
        ("", "bulk0", "bulk0"),
        ("http://h/", "http://[broken", "http://[broken"),
        ("http://[broken", "bulk0", "bulk0"),
    ],
)
def test_an_address_is_made_absolute(base: str, address: str, absolute: str) -> None:
    assert resolve(base, address) == absolute


@pytest.mark.parametrize(
    ("public_url", "host", "root"),
    [
        ("https://pacs.example/dicom/", "app.azurewebsites.net", "https://pacs.example/dicom/v2"),
        ("", "app.azurewebsites.net", "https://app.azurewebsites.net/v2"),
        ("", "localhost:7071", "http://localhost:7071/v2"),
        ("", "127.0.0.1:7071", "http://127.0.0.1:7071/v2"),
        ("", "[::1]:7071", "http://[::1]:7071/v2"),
        ("", "localhost.example.org", "https://localhost.example.org/v2"),
        ("", "127.example.org", "https://127.example.org/v2"),
        ("", "", "http://localhost/v2"),
    ],
)
def test_the_service_has_a_name_of_its_own(public_url: str, host: str, root: str) -> None:
    """What is written before any client asks; on one's own machine there is no TLS."""
    assert own_origin(public_url, host).links("v2").root == root
