"""The absolute URLs this service names in bodies and headers.

Source: API rules sections 1.10 and 19.1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

_HOST = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_PREFIX = re.compile(r"[A-Za-z0-9._~/$-]*")
_SCHEMES = ("http", "https")
_LOCAL = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])?(:|$)")


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the URLs of resources under one root."""

    root: str
    """Up to the version or the partition, without a slash at the end."""

    def study(self, study: str) -> str:
        """Name a study."""
        return f"{self.root}/studies/{study}"

    def series(self, study: str, series: str) -> str:
        """Name a series."""
        return f"{self.root}/studies/{study}/series/{series}"

    def instance(self, study: str, series: str, instance: str) -> str:
        """Name an instance."""
        return f"{self.root}/studies/{study}/series/{series}/instances/{instance}"

    def search(self, plural: str, study: str | None, series: str | None) -> str:
        """Name what is searched: `studies`, `series` or `instances`, of all, of a study or of a series."""
        within = self.root if study is None else self.study(study)
        if study is not None and series is not None:
            within = self.series(study, series)
        return f"{within}/{plural}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where clients reach the service."""

    base: str
    """Scheme and host, and the path before the version if there is one; no slash at the end."""

    prefix: str | None = None
    """What stands for version and partition where a gateway in front of us publishes other paths."""

    def links(self, version: str, partition: str | None = None) -> Links:
        """Make the links of one request.

        Args:
            version: The version segment of the request, such as `v2`.
            partition: The partition's name; None where URLs name none.
        """
        if self.prefix is not None:
            return Links(f"{self.base}/{self.prefix}".rstrip("/"))
        within = f"/partitions/{partition}" if partition is not None else ""
        return Links(f"{self.base}/{version}{within}")


def find_origin(
    headers: Mapping[str, str], scheme: str, *, public_url: str | None = None, trust_forwarded: bool
) -> Origin:
    """Find out where the client sees this service.

    A configured public URL settles it. Otherwise the forwarded headers count where they can be trusted, then
    those of the request itself. A header that holds no host, scheme or path is passed over.

    Args:
        headers: The request's headers, names in lower case.
        scheme: The scheme by which the request reached us.
        public_url: The configured URL up to, but without, the version segment.
        trust_forwarded: Whether whatever is in front of us sets or removes the X-Forwarded headers.
    """
    if public_url:
        return Origin(public_url.rstrip("/"))
    forwarded = headers if trust_forwarded else {}
    host = _first(forwarded, "x-forwarded-host", _HOST) or _first(headers, "host", _HOST) or "localhost"
    proto = _first(forwarded, "x-forwarded-proto", re.compile("|".join(_SCHEMES), re.IGNORECASE)) or scheme
    prefix = _first(forwarded, "x-forwarded-prefix", _PREFIX)
    return Origin(f"{proto.lower()}://{host}", prefix.strip("/") if prefix is not None else None)


def own_origin(public_url: str, host: str) -> Origin:
    """Where clients are expected to reach this service, without asking any of them.

    Args:
        public_url: The configured URL up to, but without, the version segment; empty if there is none.
        host: Name, and port if need be, under which the platform runs the service.
    """
    if public_url:
        return Origin(public_url.rstrip("/"))
    scheme = "http" if _LOCAL.match(host) else "https"
    return Origin(f"{scheme}://{host or 'localhost'}")


def resolve(base: str, address: str) -> str:
    """Make an address that a client sent absolute; one that is no address stays as it is.

    Args:
        base: What it is relative to; "" if nothing is known.
        address: As sent; "" means the base itself.

    Source: RFC 3986 section 5.2.
    """
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _first(headers: Mapping[str, str], name: str, shape: re.Pattern[str]) -> str | None:
    """Give the first entry of a header, the one set nearest to the client, if it looks as it must."""
    entry = headers.get(name, "").partition(",")[0].strip()
    return entry if entry and shape.fullmatch(entry) else None
