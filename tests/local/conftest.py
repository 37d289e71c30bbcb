"""A sample app under the local host, with each invoker, over an account of the session's Azurite."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local.hosting import HERE, INVOKERS, Host

NewStorage = Callable[[], dict[str, str]]


@pytest.fixture(scope="session")
def new_storage(new_account: Callable[[], str]) -> NewStorage:
    """Settings that connect the sample app to an empty account, another one at each call."""

    def settings() -> dict[str, str]:
        text = new_account()
        return {"SampleStorage": text, "AzureWebJobsStorage": text}

    return settings


@pytest.fixture(scope="session")
def sample_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample app with its local settings, which are never committed under their own name."""
    app = tmp_path_factory.mktemp("sample") / "app"
    shutil.copytree(HERE / "sample_app", app, ignore=shutil.ignore_patterns("__pycache__"))
    (app / "local.settings.sample.json").rename(app / "local.settings.json")
    return app


@pytest.fixture(scope="session", params=INVOKERS)
def invoker(request: pytest.FixtureRequest) -> str:
    """Each invoker that this interpreter has."""
    return str(request.param)


@pytest.fixture(scope="session")
def storage(invoker: str, new_storage: NewStorage) -> dict[str, str]:
    """The settings of `host`."""
    return new_storage()


@pytest.fixture(scope="session")
def host(sample_app: Path, invoker: str, storage: dict[str, str]) -> Iterator[Host]:
    """The sample app, running; tests share it, so each looks only for what it put there itself."""
    limit = {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": str(60 << 20)}
    with Host(sample_app, "--invoker", invoker, settings={**storage, **limit}) as running:
        yield running
