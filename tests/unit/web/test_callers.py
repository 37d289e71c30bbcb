"""Who sends a request."""

import pytest

from shared.web.callers import name_caller

AGENT = {"user-agent": "OHIF"}


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "10.0.0.1 "),
        (AGENT, "10.0.0.1 OHIF"),
        ({**AGENT, "x-forwarded-for": "192.0.2.7:50123"}, "192.0.2.7 OHIF"),
        ({**AGENT, "x-forwarded-for": "192.0.2.7, 10.9.9.9:80"}, "192.0.2.7 OHIF"),
        ({**AGENT, "x-forwarded-for": "[2001:db8::1]:50123"}, "[2001:db8::1] OHIF"),
        ({**AGENT, "x-forwarded-for": "2001:db8::1"}, "2001:db8::1 OHIF"),
        ({**AGENT, "x-forwarded-for": ""}, "10.0.0.1 OHIF"),
        ({**AGENT, "authorization": "Bearer abc", "x-forwarded-for": "192.0.2.7"}, "Bearer abc"),
    ],
)
def test_a_caller_is_named(headers: dict[str, str], name: str) -> None:
    """By its permission, or by address and program; a port belongs to one connection only."""
    assert name_caller(headers, "10.0.0.1") == name
