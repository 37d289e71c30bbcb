"""What host.json, local.settings.json and the environment say, read once.

The environment wins over local.settings.json, and a setting `AzureFunctionsJobHost__section__key` wins over
the same place in host.json. Names are compared as .NET does: without case, and with `:` equal to `__`.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import SettingsError

OVERRIDE = "azurefunctionsjobhost__"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the front door behaves."""

    route_prefix: str
    """Stands before every route, without slashes at its ends; "" for none."""

    max_body_bytes: int
    homepage: bool
    headers: Mapping[str, str]
    """Added to every answer of a function, unless the function sets them itself."""

    cors_origins: tuple[str, ...]
    cors_credentials: bool


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """`extensions.queues` of host.json."""

    batch_size: int
    new_batch_threshold: int
    max_dequeue_count: int
    visibility_seconds: float
    """How long a message that failed stays away before its next try."""

    max_polling_seconds: float
    hold_seconds: float
    """How long a message is hidden while its function runs; after a crash it comes back when this is over."""

    base64: bool


@dataclass(frozen=True, slots=True)
class BlobSettings:
    """`extensions.blobs` of host.json, and how often containers are listed."""

    max_parallel: int
    poison_threshold: int
    poll_seconds: float
    """Time between two listings while blobs arrive; an idle container is listed four times less often."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the host was told."""

    app: Path
    script: str
    values: Mapping[str, str]
    """Names are folded; use `get`."""

    port: int | None
    http: HttpSettings
    queues: QueueSettings
    blobs: BlobSettings
    timeout_seconds: float | None
    grace_seconds: float
    """How long running requests and invocations may go on once the host was told to end."""

    log_level: str
    not_honoured: tuple[str, ...]
    """Names in host.json that mean something to the real host and nothing to this one."""

    def get(self, name: str) -> str | None:
        """Look up an application setting, whatever the case of its name."""
        return self.values.get(fold(name))

    def expand(self, text: str) -> str:
        """Replace every `%name%` by the setting of that name.

        Raises:
            SettingsError: There is no such setting.
        """

        def value(found: re.Match[str]) -> str:
            setting = self.get(found[1])
            if setting is None:
                raise SettingsError(f"The setting {found[1]}, named in {text!r}, does not exist.")
            return setting

        return re.sub(r"%([^%]+)%", value, text)

    def is_disabled(self, function: str) -> bool:
        """Whether `AzureWebJobs.<function>.Disabled` switches a function off."""
        return is_true(self.get(f"AzureWebJobs.{function}.Disabled"))


def read_settings(app: Path, environment: Mapping[str, str]) -> Settings:
    """Read the settings of an app folder.

    Raises:
        SettingsError: A file or a value is wrong.
    """
    if not app.is_dir():
        raise SettingsError(f"There is no folder {app}.")
    local = read_local_settings(app)
    values = {fold(name): value for name, value in (local_values(local) | dict(environment)).items()}
    host = override(read_host_json(app), values)
    site = local.get("Host") or {}
    return Settings(
        app=app,
        script=values.get("python_script_file_name") or "function_app.py",
        values=values,
        port=int(site["LocalHttpPort"]) if str(site.get("LocalHttpPort", "")).isdigit() else None,
        http=read_http(host, values, site),
        queues=read_queues(host, values),
        blobs=read_blobs(host, values),
        timeout_seconds=read_timeout(host),
        grace_seconds=read_seconds(values, "LOCAL_HOST_GRACE_SECONDS", default=5, low=0.1),
        log_level=read_log_level(host),
        not_honoured=tuple(find_not_honoured(host)),
    )


def export_values(app: Path) -> None:
    """Put the Values of local.settings.json into the environment of this process, where they are not set yet.

    `AzureWebJobs.x.Disabled` and other names with dots go there too, as Core Tools does.
    """
    for name, value in local_values(read_local_settings(app)).items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")


def fold(name: str) -> str:
    """Fold a setting's name to the form in which names are compared."""
    return name.replace(":", "__").lower()


def is_true(text: str | None) -> bool:
    return text is not None and text.strip().lower() in ("1", "true")


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path.name} must hold a JSON object.")
    return content


def read_host_json(app: Path) -> dict[str, Any]:
    path = app / "host.json"
    if not path.is_file():
        raise SettingsError(f"There is no host.json in {app}.")
    host = read_json(path)
    if host.get("version") != "2.0":
        raise SettingsError('host.json must say "version": "2.0".')
    return host


def read_local_settings(app: Path) -> dict[str, Any]:
    path = app / "local.settings.json"
    if not path.is_file():
        return {}
    local = read_json(path)
    if local.get("IsEncrypted"):
        raise SettingsError(
            "local.settings.json is encrypted; only Core Tools can read it. Decrypt it first."
        )
    return local


def local_values(local: Mapping[str, Any]) -> dict[str, str]:
    values = local.get("Values") or {}
    if not isinstance(values, dict) or any(isinstance(value, (dict, list)) for value in values.values()):
        raise SettingsError("Values in local.settings.json must be an object of plain values.")
    return {name: as_text(value) for name, value in values.items()}


def as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def override(host: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Lay the `AzureFunctionsJobHost__` settings over host.json; the names in the result are folded."""
    result = fold_names(host)
    for name, value in values.items():
        if not name.startswith(OVERRIDE):
            continue
        *sections, last = name.removeprefix(OVERRIDE).split("__")
        place = result
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[last] = value
    return result


def fold_names(section: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.lower(): fold_names(value) if isinstance(value, dict) else value
        for name, value in section.items()
    }


def look_up(host: Mapping[str, Any], path: str) -> Any:
    place: Any = host
    for name in path.lower().split("."):
        place = place.get(name) if isinstance(place, dict) else None
    return place


def read_whole(host: Mapping[str, Any], path: str, *, default: int, low: int, high: int = 1 << 31) -> int:
    value = look_up(host, path)
    if value is None:
        return default
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)) or not low <= int(value) <= high:
        raise SettingsError(
            f"{path} in host.json is {value!r}; it must be a whole number from {low} to {high}."
        )
    return int(value)


def read_span(host: Mapping[str, Any], path: str, *, default: float) -> float:
    value = look_up(host, path)
    if value is None:
        return default
    seconds = parse_span(str(value))
    if seconds is None:
        raise SettingsError(f"{path} in host.json is {value!r}; it must be a time like 00:00:05.")
    return seconds


def parse_span(text: str) -> float | None:
    """Read a .NET time span, `[days.]hours:minutes:seconds`, as seconds; None when it is none."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d{1,7})?)", text.strip())
    if not found:
        return None
    days, hours, minutes, seconds = found.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


HONOURED = {
    "http": {"routeprefix", "customheaders"},
    "queues": {
        "batchsize",
        "newbatchthreshold",
        "maxdequeuecount",
        "visibilitytimeout",
        "maxpollinginterval",
        "messageencoding",
    },
    "blobs": {"maxdegreeofparallelism", "poisonblobthreshold"},
}


def find_not_honoured(host: Mapping[str, Any]) -> Iterator[str]:
    """Find what host.json asks of the HTTP, queue and blob extensions in vain."""
    for section, names in HONOURED.items():
        for name, value in (look_up(host, f"extensions.{section}") or {}).items():
            if name not in names and value not in (False, -1):
                yield f"extensions.{section}.{name}"


def read_http(host: Mapping[str, Any], values: Mapping[str, str], site: Mapping[str, Any]) -> HttpSettings:
    prefix = look_up(host, "extensions.http.routePrefix")
    limit = values.get("functions_request_body_size_limit") or str(100 * MIB)
    if not limit.isdigit():
        raise SettingsError(f"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT is {limit!r}; it must be a number of bytes.")
    headers = look_up(host, "extensions.http.customHeaders") or {}
    origins = str(site.get("CORS") or "").split(",")
    return HttpSettings(
        route_prefix=("api" if prefix is None else str(prefix)).strip("/"),
        max_body_bytes=int(limit),
        homepage=not is_true(values.get("azurewebjobsdisablehomepage")),
        headers={str(name): str(value) for name, value in headers.items()},
        cors_origins=tuple(origin.strip().rstrip("/") for origin in origins if origin.strip()),
        cors_credentials=is_true(str(site.get("CORSCredentials", ""))),
    )


def read_queues(host: Mapping[str, Any], values: Mapping[str, str]) -> QueueSettings:
    where = "extensions.queues."
    encoding = str(look_up(host, where + "messageEncoding") or "base64").lower()
    if encoding not in ("base64", "none"):
        raise SettingsError(
            f'{where}messageEncoding in host.json is {encoding!r}; it must be "base64" or "none".'
        )
    batch = read_whole(host, where + "batchSize", default=16, low=1, high=32)
    return QueueSettings(
        batch_size=batch,
        new_batch_threshold=read_whole(host, where + "newBatchThreshold", default=batch // 2, low=0),
        max_dequeue_count=read_whole(host, where + "maxDequeueCount", default=5, low=1),
        visibility_seconds=read_span(host, where + "visibilityTimeout", default=0),
        max_polling_seconds=max(0.1, read_span(host, where + "maxPollingInterval", default=60)),
        hold_seconds=read_seconds(values, "LOCAL_HOST_QUEUE_HOLD_SECONDS", default=600, low=1),
        base64=encoding == "base64",
    )


def read_blobs(host: Mapping[str, Any], values: Mapping[str, str]) -> BlobSettings:
    cores = os.cpu_count() or 1
    return BlobSettings(
        max_parallel=read_whole(host, "extensions.blobs.maxDegreeOfParallelism", default=8 * cores, low=1),
        poison_threshold=read_whole(host, "extensions.blobs.poisonBlobThreshold", default=5, low=1),
        poll_seconds=read_seconds(values, "LOCAL_HOST_BLOB_POLL_SECONDS", default=0.25, low=0.01),
    )


def read_seconds(values: Mapping[str, str], name: str, *, default: float, low: float) -> float:
    """Read a setting of this host's own, which the real host does not have."""
    text = values.get(fold(name))
    if not text:
        return default
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not low <= float(text) <= 3600:
        raise SettingsError(f"{name} is {text!r}; it must be a number from {low} to 3600.")
    return float(text)


def read_timeout(host: Mapping[str, Any]) -> float | None:
    """Read how long a function may run: 30 minutes by default, -1 for as long as it likes."""
    value = look_up(host, "functionTimeout")
    if str(value) in ("-1", "-00:00:00.001"):
        return None
    return read_span(host, "functionTimeout", default=1800)


def read_log_level(host: Mapping[str, Any]) -> str:
    """Read the level for the app's own log lines, in Python's word for it."""
    levels = {
        "trace": "DEBUG",
        "debug": "DEBUG",
        "information": "INFO",
        "warning": "WARNING",
        "error": "ERROR",
        "critical": "CRITICAL",
        "none": "CRITICAL",
    }
    value = look_up(host, "logging.logLevel.function") or look_up(host, "logging.logLevel.default")
    if value is None:
        return "INFO"
    if str(value).lower() not in levels:
        raise SettingsError(
            f"logging.logLevel in host.json names {value!r}; use Information, Warning or Error."
        )
    return levels[str(value).lower()]
