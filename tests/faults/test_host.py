"""The whole service, under its host, is killed in the middle of a request and started again."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable

import pytest

from shared.storage import keys
from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial
from tests.faults.driver import Store
from tests.faults.files import File
from tests.faults.nursery import Nursery
from tests.faults.proxy import Call, Fault, killed_after, killed_before, once
from tests.local.hosting import ROOT, Answer, Host

PARTITION = keys.DEFAULT_PARTITION.lower()
STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", variant=1)

STUDIES = "/v2/studies"
HEAD_PATH = f"{STUDIES}/{STUDY}/series/{HEAD.series}/instances/{HEAD.instance}"
Request = tuple[str, str, bytes, dict[str, str]]
"""Method, path, body and headers."""

Dies = Callable[[Callable[[], Awaitable[None]]], Fault]


def _is_transaction(call: Call) -> bool:
    return call.request.path.endswith("$batch") and (call.names("instance|") or call.names("instance%7C"))


def _is_announcement(call: Call) -> bool:
    container = call.request.path.split("/")[2]
    return call.request.method == "PUT" and container == keys.CHANGES


def test_a_store_killed_after_its_transaction_is_finished(account: Account, nursery: Nursery) -> None:
    store: Request = ("POST", STUDIES, MOVED.content(), {"Content-Type": "application/dicom"})

    async def whole() -> tuple[Answer, list[str]]:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store(PARTITION, (HEAD,)))
            trial.told.send(PARTITION, (MOVED,))
            await _die(trial, (_is_transaction, killed_after), store)
            # It was committed, though nobody was told.
            trial.told.acknowledge(PARTITION, (MOVED,), ("stored",))
            return await _recover(trial, store)

    answer, problems = asyncio.run(whole())

    assert answer.status == 409
    assert problems == []


def test_a_deletion_killed_before_it_is_announced_is_finished(account: Account, nursery: Nursery) -> None:
    delete: Request = ("DELETE", HEAD_PATH, b"", {})

    async def whole() -> tuple[Answer, list[str]]:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store(PARTITION, (HEAD,)), Store(PARTITION, (MOVED,)))
            trial.told.ask_to_delete(PARTITION, STUDY, HEAD.series)
            await _die(trial, (_is_announcement, killed_before), delete)
            trial.told.deleted(PARTITION, STUDY, HEAD.series)
            return await _recover(trial, delete)

    answer, problems = asyncio.run(whole())

    assert answer.status == 404
    assert problems == []


async def _die(
    trial: Trial,
    moment: tuple[Callable[[Call], bool], Dies],
    request: Request,
) -> None:
    """Send a request during which the host is killed."""
    meant, dies = moment
    lane = trial.lanes[0]
    host = await _start(trial.account.through(lane))

    async def kill() -> None:
        host.process.kill()
        await asyncio.to_thread(host.process.wait)

    try:
        lane.follow(once(meant, dies(kill)))
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            await asyncio.to_thread(host.request, *request)
        await lane.quiet()
    finally:
        await asyncio.to_thread(host.end)


async def _recover(trial: Trial, request: Request) -> tuple[Answer, list[str]]:
    """Start the host anew and run its sweep; what the request is answered now, and what is wrong then."""
    await trial.wait_for_lease()
    host = await _start(trial.account.text)
    try:
        await asyncio.to_thread(host.request, "POST", "/admin/functions/sweep", b"{}")
        await asyncio.to_thread(host.drain)
        answer = await asyncio.to_thread(host.request, *request)
    finally:
        await asyncio.to_thread(host.end)
    # A refused store leaves bytes to the next sweep.
    await trial.restart()
    return answer, await trial.problems()


async def _start(connection: str) -> Host:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    times = {"DICOM_GRACE_SECONDS": "0", "DICOM_RETENTION_SECONDS": "0"}
    storage = {"DicomStorage": connection, "AzureWebJobsStorage": connection}
    settings = {name: str(value) for name, value in {**sample, **times, **storage}.items()}
    return await asyncio.to_thread(lambda: Host(ROOT, "--invoker", "library", settings=settings))
