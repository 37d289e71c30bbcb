"""What the tests share: one Azurite for the session, and the service running over it.

Azurite slows down with what an account holds, so whatever starts a service of its own takes a fresh
account. Tests of the shared service keep apart by data partition instead, which costs nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import httpx
import pytest

from local.dev import azurite as emulator
from local.dev.azurite import Azurite
from local.dev.service import Service, start_service
from tests.archive import Archive

ACCOUNTS = tuple(f"test{number:03}" for number in range(200))

NewAccount = Callable[[], str]
StartService = Callable[[Mapping[str, str]], Service]


_RANDOM = re.compile(r"1\.2\.826\.0\.1\.3680043\.10\.1337\.\d+|[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name cases without what is made up anew in each process: several that run together must agree."""
    return _RANDOM.sub("any", val) if isinstance(val, str) and _RANDOM.search(val) else None


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An emulator that keeps its data in memory."""
    accounts = dict.fromkeys(ACCOUNTS, emulator.KEY)
    with emulator.start(accounts=accounts, logs=tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(scope="session")
def new_account(azurite: Azurite) -> NewAccount:
    """Gives the connection string of an empty account, another one at each call."""
    names = iter(ACCOUNTS)
    return lambda: azurite.connection_string(next(names))


@pytest.fixture(scope="module")
def start(new_account: NewAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """Starts the service with settings of its own, over an empty account; it ends with the module's tests."""
    with ExitStack() as running:

        def begin(settings: Mapping[str, str]) -> Service:
            log = tmp_path_factory.mktemp("service") / "log"
            return running.enter_context(start_service(0, new_account(), settings=settings, log=log))

        yield begin


@pytest.fixture(scope="session")
def service(new_account: NewAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service that most tests ask."""
    log = tmp_path_factory.mktemp("service") / "log"
    settings = {"DICOM_SHOW_STORAGE_CALLS": "true"}
    with start_service(0, new_account(), settings=settings, log=log) as running:
        yield running


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """Connections that the tests share."""
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture
def archive(service: Service, http: httpx.Client) -> Archive:
    """An empty archive: a data partition of the shared service that no other test uses."""
    return Archive.fresh(http, service.url)
