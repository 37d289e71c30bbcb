"""Damaged requests go to the running service: an answer each, and what is stored is stored whole."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from local.dev.service import Service, start_service
from tests.conftest import NewAccount
from tests.fuzz import cases
from tests.fuzz.asking import Answer, ask, send
from tests.fuzz.claims import as_stored
from tests.fuzz.settled import problems_left
from tests.fuzz.wire import Address, Request, a_request, address_of, is_readable

JSON: Final = "application/dicom+json"
STATUSES: Final = {200, 202, 204, 400, 404, 406, 409, 413, 415}
"""What a store may be answered with."""

_TROUBLE = re.compile(r"request failed|could not be committed|could not be swept|Traceback|\bERROR\b")
_URL = re.compile(r"/studies/([^/]+)/series/([^/]+)/instances/([^/\"<]+)")


@dataclass(frozen=True, slots=True)
class Target:
    """The service under fire, and its log."""

    service: Service
    connection: str
    log: Path
    stored: dict[tuple[str, str, str, str], bytes]
    """What was found, with its partition."""

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self.service.url

    def check_log(self) -> None:
        """Nothing in the log tells of a fault of ours."""
        found = [line for line in self.log.read_text(errors="replace").splitlines() if _TROUBLE.search(line)]
        assert not found, found[:3]


@pytest.fixture(scope="module")
def target(new_account: NewAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A service of its own: what is thrown at it should hurt nobody else."""
    log, connection = tmp_path_factory.mktemp("fuzz") / "log", new_account()
    with start_service(0, connection, log=log) as service:
        yield Target(service, connection, log, {})


def test_damaged_requests_are_answered_and_nothing_is_half_stored(target: Target) -> None:
    """Good files among bad ones, in bodies that are damaged themselves, in every form of request."""

    left: list[Request] = []

    def examine(request: Request, _: Random) -> None:
        if request.leaves_at is not None:
            left.append(request)
        _examine(target, request)

    cases.attempt(cases.share(20), cases.Kind("request", a_request, examine, Request.wire))
    for request in left:
        # What went on when the client had left has come to its end by now.
        _check_whole(target, request)
    target.service.stop()
    assert asyncio.run(problems_left(target.connection, target.stored)) == []


def _examine(target: Target, request: Request) -> None:
    leaves = request.leaves_at is not None
    answer = send(target.url, request.wire(), leaves=leaves)

    found = _check_whole(target, request)
    if answer is not None:
        assert answer.status in STATUSES, (answer.status, answer.content[:300])
        _check_answer(request, answer, found)
    target.check_log()


def _check_whole(target: Target, request: Request) -> set[Address]:
    """What is found can be had; tell what it is."""
    found = _found(target, request)
    for address in found:
        _check_stored(target, request, address)
    return found


def _check_answer(request: Request, answer: Answer, found: set[Address]) -> None:
    told = set(_URL.findall(answer.content.decode())) if answer.status in (200, 202) else set()
    assert found == told
    if answer.status == 409:
        assert answer.content
    if request.is_sound and answer.status in (200, 202, 409):
        assert request.expected <= told
        if request.files is not None and answer.media_type == JSON:
            _check_outcomes(request.files, answer.json)


def _check_outcomes(files: Sequence[bytes], dataset: dict[str, Any]) -> None:
    """Every file has its outcome, and what cannot be read is refused."""
    refused, kept = (dataset.get(tag, {}).get("Value", []) for tag in ("00081198", "00081199"))
    assert len(refused) + len(kept) == len(files)
    assert {item["00081197"]["Value"][0] for item in refused} <= {43264, 45070}
    assert len(kept) <= sum(map(is_readable, files))


def _found(target: Target, request: Request) -> set[Address]:
    """What the searches find in the partition of a request; they must agree."""
    root = request.root
    instances = {
        _uids(item, "0020000D", "0020000E", "00080018")
        for item in _search(target, f"{root}/instances?limit=200")
    }
    assert {_uids(item, "0020000D") for item in _search(target, f"{root}/studies")} == {
        (study,) for study, _, _ in instances
    }
    assert {_uids(item, "0020000D", "0020000E") for item in _search(target, f"{root}/series")} == {
        (study, series) for study, series, _ in instances
    }
    return {(study, series, instance) for study, series, instance in instances}


def _search(target: Target, path: str) -> Sequence[dict[str, Any]]:
    answer = ask(target.url, path, JSON)
    if answer.status == 204 or (answer.status == 400 and b"PartitionName does not exist" in answer.content):
        return []
    assert answer.status == 200, (path, answer.status, answer.content[:200])
    found: list[dict[str, Any]] = answer.json
    return found


def _uids(item: dict[str, Any], *tags: str) -> tuple[str, ...]:
    return tuple(item[tag]["Value"][0] for tag in tags)


def _check_stored(target: Target, request: Request, address: Address) -> None:
    """It comes back byte for byte, with metadata that are its own, and frames where it has them."""
    path = "{}/studies/{}/series/{}/instances/{}".format(request.root, *address)
    whole = ask(target.url, path, "application/dicom; transfer-syntax=*")
    metadata = ask(target.url, f"{path}/metadata", JSON)
    frame = ask(target.url, f"{path}/frames/1", "application/octet-stream; transfer-syntax=*")

    assert whole.status == 200
    target.stored[(request.partition, *address)] = whole.content
    if request.is_sound and request.files is not None:
        assert whole.content in map(as_stored, request.files)
    assert address_of(whole.content) == address
    assert metadata.status == 200
    assert [_uids(item, "0020000D", "0020000E", "00080018") for item in metadata.json] == [address]
    assert frame.status in (200, 404), (frame.status, frame.content[:200])
