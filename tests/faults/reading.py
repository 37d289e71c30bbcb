"""Asks the real search and retrieval for what clients were told, as the clients would."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote

from shared.dicom.tags import SearchLevel, parse_tag
from shared.errors import NotFound
from shared.qido.search import Asker, Resource, search
from shared.storage.keys import Scope, StudyKey
from shared.storage.storage import Storage
from shared.wado.content import Asked
from shared.wado.converted.workers import Workers
from shared.wado.retrieve import retrieve
from shared.web.accept import choose, parse_accept
from shared.web.links import Links
from shared.web.offers import INSTANCE_OFFERS
from shared.web.query import parse_search
from tests.faults.checker import Told
from tests.faults.files import Address

ASKED_AT_ONCE = 6
MOST_PARTITIONS = 16
"""Data partitions that are asked about, evenly spread. The checker has looked at the rows of all of them."""

MOST_ADDRESSES = 24
"""Of a data partition that are asked for by their own UID, likewise."""

LINKS = Links("http://127.0.0.1/v2")
SINGLE_PART = Asked(
    choose(INSTANCE_OFFERS, parse_accept("application/dicom; transfer-syntax=*", None)), LINKS
)
WORKERS = Workers()

# What every file of these tests says, so that these searches must find all of a data partition.
_OF_ALL = ("", "StudyDate=20240101-20241231")

_UIDS = ("0020000D", "0020000E", "00080018")


async def broken_word(storage: Storage, told: Told, most: int = MOST_PARTITIONS) -> list[str]:
    """What was told to be stored and is not found by every route, or is found though told deleted.

    Args:
        storage: The account.
        told: What clients were told.
        most: How many data partitions are asked about.
    """
    limit = asyncio.Semaphore(ASKED_AT_ONCE)
    partitions = sorted({address[0] for address in told.there | told.gone})
    step = 1 + len(partitions) // most

    async def look(partition: str) -> list[str]:
        async with limit:
            return await _look(storage, partition, told)

    return [line for lines in await asyncio.gather(*map(look, partitions[::step])) for line in lines]


async def _look(storage: Storage, partition: str, told: Told) -> list[str]:
    there = {address for address in told.there if address[0] == partition}
    gone = {address for address in told.gone if address[0] == partition}
    lines: list[str] = []
    for route, found in (await _listings(storage, partition, there | gone)).items():
        lines += [f"{partition}: {address} is not found by {route}" for address in there - found]
        lines += [f"{partition}: {address} is deleted and found by {route}" for address in gone & found]
    for address in _some(there | gone):
        is_right = await retrieve_bytes(storage, address) in (
            told.sent[address] if address in there else [None]
        )
        if not is_right:
            lines.append(f"{partition}: {address} is not retrieved as was told")
    return lines


async def _listings(storage: Storage, partition: str, addresses: set[Address]) -> Mapping[str, set[Address]]:
    """The instances found by each way of searching."""
    found: dict[str, set[Address]] = {}
    for query in _OF_ALL:
        found[f"instances?{query}"] = await find_instances(storage, partition, query)
    studies = {study for _, study, _, _ in addresses}
    nested: set[Address] = set()
    by_study: set[Address] = set()
    for study in studies:
        nested |= await find_instances(storage, partition, "", study)
        by_study |= await find_instances(storage, partition, f"StudyInstanceUID={study}")
    by_series: set[Address] = set()
    for series in {series for _, _, series, _ in addresses}:
        by_series |= await find_instances(storage, partition, f"SeriesInstanceUID={series}")
    by_uid: set[Address] = set()
    for *_, instance in _some(addresses):
        by_uid |= await find_instances(storage, partition, f"SOPInstanceUID={instance}")
    # All others were found by it as well, so far as it is checked here.
    by_uid |= by_study - _some(addresses)
    named = {"studies/S/instances": nested, "StudyInstanceUID": by_study}
    return {**found, **named, "SeriesInstanceUID": by_series, "SOPInstanceUID": by_uid}


def _some(addresses: Collection[Address]) -> set[Address]:
    return set(sorted(addresses)[:: 1 + len(addresses) // MOST_ADDRESSES])


async def find_instances(
    storage: Storage, partition: str, query: str = "", study: str | None = None
) -> set[Address]:
    """The instances found by a search of a data partition, or within a study."""
    resource = Resource(partition, SearchLevel.INSTANCE, study)
    addresses: set[Address] = set()
    cursor: str | None = None
    while cursor != "":
        # A machine may be so slow that a search ends before its first page has all.
        behind = f"&cursor={quote(cursor, safe='')}" if cursor else ""
        request = parse_search(f"{query}&limit=5000{behind}", parse_tag)
        found = await search(storage, resource, request, Asker(LINKS))
        addresses |= {(partition, *_uids(dataset)) for dataset in found.datasets}
        cursor = found.cursor
    return addresses


def _uids(dataset: Mapping[str, Mapping[str, object]]) -> tuple[str, str, str]:
    values: list[Sequence[str]] = []
    for tag in _UIDS:
        value = dataset[tag]["Value"]
        assert isinstance(value, list)
        values.append(value)
    return str(values[0][0]), str(values[1][0]), str(values[2][0])


async def retrieve_bytes(storage: Storage, address: Address) -> bytes | None:
    """The file at an address, as it was stored; None when there is none."""
    partition, study, series, instance = address
    try:
        scope = Scope(StudyKey(partition, study), series, instance)
        answer = await retrieve(storage, WORKERS, scope=scope, asked=SINGLE_PART)
    except NotFound:
        return None
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([piece async for piece in answer.body])
