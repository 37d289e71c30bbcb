"""Proves promises 1 to 3 over everything an account holds. Pure; `snapshot.py` reads, `reading.py` asks.

Each check gives sentences about what is wrong; none is good. Sentences begin with the data partition,
by which a test that crashes many times in one account knows which crash it was.
"""

import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from shared.storage import keys, terms
from shared.storage.anchors import Summary, parse_anchor
from shared.storage.planning import MODALITIES_IN_STUDY, MODALITY, modalities_of
from shared.storage.rows import Change, InstanceRow, Location, joined_text, parse_changes
from shared.storage.tables import Row
from shared.storage.works import Status
from shared.web.splice import Sum
from tests.faults.files import Address, File
from tests.faults.snapshot import Snapshot, Study


@dataclass(slots=True)
class Told:
    """What clients sent, and what they were told of it."""

    sent: dict[Address, list[bytes]] = field(default_factory=dict)
    there: set[Address] = field(default_factory=set)
    """Told that it is stored, and nobody has asked to delete it since."""

    gone: set[Address] = field(default_factory=set)
    """Told that it is deleted, and nobody has sent it since."""

    latest: dict[Address, bytes] = field(default_factory=dict)
    """Told that these bytes are there, and nobody has sent anything since or at the same time."""

    _open: Counter[Address] = field(default_factory=Counter)
    """How often it was sent without an answer yet."""

    _met: set[Address] = field(default_factory=set)
    """Sent by two at the same time."""

    def send(self, partition: str, files: Collection[File]) -> None:
        """A client sends files; nobody knows what becomes of those not there already."""
        for file in files:
            address = file.address(partition)
            self.sent.setdefault(address, []).append(file.content())
            self.gone.discard(address)
            self.latest.pop(address, None)
            if self._open[address]:
                self._met.add(address)
            self._open[address] += 1

    def acknowledge(
        self,
        partition: str,
        files: Collection[File],
        outcomes: Collection[object],
        *,
        tells_bytes: bool = False,
    ) -> None:
        """The client is told what became of each file; by some requests also that its bytes are the ones."""
        for file, outcome in zip(files, outcomes, strict=True):
            address = file.address(partition)
            self._open[address] -= 1
            if outcome in ("stored", "EXISTS"):
                self.there.add(address)
            if tells_bytes and outcome == "stored" and address not in self._met:
                self.latest[address] = file.content()

    def ask_to_delete(self, partition: str, *uids: str | None) -> None:
        """A client asks to delete; nobody knows what becomes of what is there."""
        within = self._within(partition, uids)
        self.there -= within
        self._met |= within

    def deleted(self, partition: str, *uids: str | None) -> None:
        """The client is told that it is gone."""
        self.gone |= self._within(partition, uids)

    def forget(self, partition: str) -> None:
        """Requests that met may have undone each other: what clients were told holds no longer."""
        self.there = {address for address in self.there if address[0] != partition}
        self.gone = {address for address in self.gone if address[0] != partition}

    def _within(self, partition: str, uids: tuple[str | None, ...]) -> set[Address]:
        start = (partition, *(uid for uid in uids if uid))
        return {address for address in self.sent if address[: len(start)] == start}


def problems(snapshot: Snapshot, told: Told) -> list[str]:
    """Everything that is not as promised."""
    return [
        *(line for study in snapshot.studies for line in _wrong_levels(study)),
        *(line for study in snapshot.studies for line in _wrong_anchors(study)),
        *(line for study in snapshot.studies for line in _wrong_instances(study, snapshot, told)),
        *(line for study in snapshot.studies for line in _wrong_summaries(study, snapshot)),
        *_unnamed_blobs(snapshot),
        *_unnamed_bytes(snapshot),
        *_wrong_index(snapshot),
        *_unfinished(snapshot),
        *_forgotten(snapshot),
        *_wrong_feed(snapshot),
        *_wrong_history(snapshot),
        *_left_of_uploads(snapshot),
        *_broken_word(snapshot, told),
    ]


def _wrong_levels(study: Study) -> Iterator[str]:
    """A study has a row while it has series, a series while it has instances."""
    where = study.key.archive
    filled = {row.series for row in study.instances}
    for series in filled ^ set(study.series):
        yield f"{where}: series {series} has a row without instances or instances without a row"
    if bool(study.series) != (study.level is not None):
        yield f"{where}: a study row without series, or series without a study row"
    if study.level is None:
        return
    modalities = {name for row in study.series.values() for name in modalities_of(row.values, MODALITY)}
    if set(modalities_of(study.level.values, MODALITIES_IN_STUDY)) != modalities:
        yield f"{where}: the modalities of the study are not those of its series"


def _wrong_anchors(study: Study) -> Iterator[str]:
    levels = {"": study.level, **study.series}
    wanted = {keys.anchor_row(uid, row.revision) for uid, row in levels.items() if row is not None}
    for row in wanted ^ {row.row for row in study.rows_of("anchor")}:
        yield f"{study.key.archive}: {row} is missing or too many"
    kinds = {row.row.partition("|")[0] for row in study.others} - {"anchor", "pending", "purge"}
    if kinds:
        yield f"{study.key.archive}: rows of unknown kinds {kinds}"


def _wrong_instances(study: Study, snapshot: Snapshot, told: Told) -> Iterator[str]:
    """The bytes of every instance are there and are those that were sent; so are its details."""
    for row in study.instances:
        name = f"{study.key.archive}: instance {row.instance}"
        place = row.location
        blob = snapshot.blobs[keys.DICOM].get(place.blob, b"")
        address = (study.key.partition, study.key.study, row.series, row.instance)
        sent = [told.latest[address]] if address in told.latest else told.sent.get(address, [])
        if blob[place.start : place.start + place.length] not in sent:
            yield f"{name} has not the bytes that were sent"
        if not _metadata_of(row, snapshot):
            yield f"{name} has no metadata"
        if row.frames_blob and row.frames_blob not in snapshot.blobs[keys.METADATA]:
            yield f"{name} has no index of frames"
        if row.bulk_blob and row.bulk_blob not in snapshot.blobs[keys.METADATA]:
            yield f"{name} has no index of bulk values"


def _wrong_summaries(study: Study, snapshot: Snapshot) -> Iterator[str]:
    """What anchors say of their series is so, and joined metadata are those of the instances."""
    for series, summary in _summaries(study):
        rows = [row for row in study.instances if row.series == series]
        if (summary.count, summary.newest) != (len(rows), max((row.version for row in rows), default=0)):
            yield f"{study.key.archive}: the anchor of {series} is wrong about its instances"
        if summary.joined:
            blob = snapshot.blobs[keys.METADATA].get(summary.joined.blob, b"")
            text = zlib.decompressobj(-zlib.MAX_WBITS).decompress(blob)
            if len(blob) != summary.joined.length or Sum.of(text) != summary.joined.sum:
                yield f"{study.key.archive}: the anchor of {series} is wrong about its joined metadata"
            elif json.loads(b"[" + text + b"]") != _metadata_with_links(rows, summary.joined.base, snapshot):
                yield f"{study.key.archive}: the joined metadata of {series} are not those of its instances"


def _summaries(study: Study) -> list[tuple[str, Summary]]:
    anchors = (parse_anchor(row) for row in study.rows_of("anchor") if not row.row.startswith("anchor||"))
    return [(anchor.series, anchor.summary) for anchor in anchors if anchor.summary]


def _metadata_with_links(rows: Collection[InstanceRow], base: str, snapshot: Snapshot) -> list[object]:
    """The metadata of instances with URLs for bulk data."""
    return [json.loads(_with_links(row, base, json.dumps(_metadata_of(row, snapshot)))) for row in rows]


def _with_links(row: InstanceRow, base: str, text: str) -> str:
    place = f"{base}/studies/{row.study}/series/{row.series}/instances/{row.instance}/bulkdata"
    return text.replace('"BulkDataURI": "', f'"BulkDataURI": "{place}/')


def _metadata_of(row: InstanceRow, snapshot: Snapshot) -> Mapping[str, object]:
    compressed = row.metadata
    if row.metadata_blob:
        compressed = snapshot.blobs[keys.METADATA].get(row.metadata_blob, b"")
    found: Mapping[str, object] = json.loads(zlib.decompress(compressed)) if compressed else {}
    return found


def _unnamed_blobs(snapshot: Snapshot) -> Iterator[str]:
    """Every blob is named by an instance, or by what is deleted and waits for its purge."""
    named: set[str] = set()
    for study in snapshot.studies:
        for row in study.instances:
            named |= {row.location.blob, *row.details}
        for change in _waiting(study, "pending", "purge"):
            named |= {change.location.blob, *change.details}
        named |= {summary.joined.blob for _, summary in _summaries(study) if summary.joined}
    for container in (keys.DICOM, keys.METADATA):
        for name in snapshot.blobs[container].keys() - named:
            yield f"{name.split('/')[1]}: no row names the blob {name} of {container}"


def _unnamed_bytes(snapshot: Snapshot) -> Iterator[str]:
    """Every byte of a pack is named likewise, or the pack waits to be written anew."""
    places: set[Location] = set()
    waiting: set[str] = set()
    for study in snapshot.studies:
        places |= {row.location for row in study.instances}
        places |= {change.location for change in _waiting(study, "pending")}
        waiting |= {change.location.blob for change in _waiting(study, "purge")}
    named: Counter[str] = Counter()
    for place in places:
        named[place.blob] += place.length
    for name, blob in snapshot.blobs[keys.DICOM].items():
        if keys.is_pack(name) and name not in waiting and len(blob) > named[name]:
            yield f"{name.split('/')[1]}: no row names {len(blob) - named[name]} bytes of {name}"


def _waiting(study: Study, *kinds: str) -> Iterator[Change]:
    """What rows of some kinds, pending or purge, name."""
    for row in (row for kind in kinds for row in study.rows_of(kind)):
        for name in ("changes", "replaced"):
            yield from parse_changes(joined_text(row, name) or "[]")


def _wrong_index(snapshot: Snapshot) -> Iterator[str]:
    """The search tables hold what the archive says, and nothing else."""
    wanted: dict[terms.IndexKey, Mapping[str, object]] = {}
    for study in snapshot.studies:
        wanted |= terms.study_rows(study.key, study.level)
        for uid, level in study.series.items():
            wanted |= terms.series_rows(study.key, uid, level)
        for row in study.instances:
            wanted |= terms.instance_row(study.key, row.series, row.instance)
    found = {
        terms.IndexKey(table, row.partition, row.row): row.values
        for table in terms.INDEX_TABLES
        for row in snapshot.tables[table]
    }
    for where in wanted.keys() - found.keys():
        yield f"{where.partition}: {where.table} lacks a row: {where.row}"
    for where in found.keys() - wanted.keys():
        yield f"{where.partition}: {where.table} has a ghost: {where.row}"
    for where in found.keys() & wanted.keys():
        if dict(found[where]) != dict(wanted[where]):
            yield f"{where.partition}: {where.table} has a row that is out of date: {where.row}"


def _unfinished(snapshot: Snapshot) -> Iterator[str]:
    for study in snapshot.studies:
        for row in study.rows_of("pending"):
            yield f"{study.key.archive}: the change {row.row} is still pending"
    for name in snapshot.blobs[keys.CHANGES]:
        yield f"{name.split('/')[1]}: the change blob {name} is left"


def _forgotten(snapshot: Snapshot) -> Iterator[str]:
    """What still has to be purged lies in a study that the sweep comes back to."""
    active = {row.row for row in snapshot.tables[keys.ACTIVE]}
    for study in snapshot.studies:
        if study.rows_of("purge") and study.key.archive not in active:
            yield f"{study.key.archive}: a purge waits, and the sweep does not know of it"


def _wrong_feed(snapshot: Snapshot) -> Iterator[str]:
    """Sequences are contiguous from 1, and time never runs backwards."""
    rows = sorted(snapshot.tables[keys.FEED], key=lambda row: row.row)
    rows = [row for row in rows if row.partition != "head"]
    if [int(row.row) for row in rows] != list(range(1, len(rows) + 1)):
        yield f"feed: the sequences are {[int(row.row) for row in rows]}"
    times = [row.values["time"] for row in rows]
    if times != sorted(times, key=str):
        yield "feed: time runs backwards"
    entered: Counter[tuple[tuple[str, ...], object]] = Counter()
    for row in rows:
        address, change = _address(row), row.values["change"]
        entered[address, change] += 1
        if entered[address, change] > 1:
            yield f"{address[0]}: change {change!r} of {address} is entered {entered[address, change]} times"
        if row.values["action"] == "delete":
            # A transaction whose answer was lost, and which is repeated after this, makes it happen again.
            entered = Counter(
                {key: count for key, count in entered.items() if key[0] != address or key[1] == change}
            )


def _wrong_history(snapshot: Snapshot) -> Iterator[str]:
    """For each instance the feed tells creation, updates and deletion in turn, up to what is there now."""
    histories: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(snapshot.tables[keys.FEED], key=lambda row: row.row):
        if row.partition != "head":
            histories.setdefault(_address(row), []).append(row)
    there = _versions(snapshot)
    for address in histories.keys() | there.keys():
        entries = [(str(row.values["action"]), row.values["version"]) for row in histories.get(address, [])]
        left: object = None
        for action, version in entries:
            if (action == "create") is not (left is None):
                yield f"{address[0]}: the history of {address} is {entries}"
            if action == "delete" and version != left:
                yield f"{address[0]}: {address} is deleted in another version than was made: {entries}"
            left = None if action == "delete" else version
        if left != there.get(address):
            yield f"{address[0]}: the feed says {entries} of {address}, there is {there.get(address)}"


def _left_of_uploads(snapshot: Snapshot) -> Iterator[str]:
    """Uploads and operations that nobody came to the end of, and blobs of theirs that nothing names."""
    for row in snapshot.tables[keys.UPLOADS]:
        yield f"uploads: the upload {row.row} is left"
    for name in snapshot.blobs[keys.UPLOADS]:
        yield f"uploads: the blob {name} is left"
    answers = snapshot.blobs[keys.ANSWERS]
    for row in snapshot.tables[keys.OPERATIONS]:
        answer, status = str(row.values.get("answer", "")), Status(str(row.values["status"]))
        if not status.is_over:
            yield f"operations: {row.row} is {status}"
        if answer and answer not in answers:
            yield f"operations: {row.row} names the answer {answer}, which is not there"
    # An answer goes with its operation, also that of a claim that was lost.
    operations = {(row.partition, row.row) for row in snapshot.tables[keys.OPERATIONS]}
    for name in answers:
        if tuple(name.split("/")[:2]) not in operations:
            yield f"answers: no operation has the answer {name}"


def _broken_word(snapshot: Snapshot, told: Told) -> Iterator[str]:
    there = _versions(snapshot)
    for address in told.there - there.keys():
        yield f"{address[0]}: {address} was told to be stored and is not there"
    for address in told.gone & there.keys():
        yield f"{address[0]}: {address} was told to be deleted and is there"


def gone_too_early(snapshot: Snapshot) -> list[str]:
    """Bytes of deleted instances that are gone before a purge was due; for accounts where none was."""
    return [
        f"{study.key.archive}: {row.row} names {change.location.blob}, which is gone"
        for study in snapshot.studies
        for row in (*study.rows_of("pending"), *study.rows_of("purge"))
        for change in parse_changes(joined_text(row, "changes"))
        if change.location.blob not in snapshot.blobs[keys.DICOM]
    ]


def remains(snapshot: Snapshot, told: Told) -> list[str]:
    """Bytes of deleted instances that should be purged by now."""
    return [
        f"{address[0]}: bytes of {address} remain in {name}"
        for address in told.gone
        for name, blob in snapshot.blobs[keys.DICOM].items()
        if name.split("/")[1] == address[0] and any(sent in blob for sent in told.sent[address])
    ]


def _versions(snapshot: Snapshot) -> dict[tuple[str, ...], int]:
    """The version of every instance that is there."""
    return {
        (study.key.partition, study.key.study, row.series, row.instance): row.version
        for study in snapshot.studies
        for row in study.instances
    }


def _address(row: Row) -> tuple[str, ...]:
    return tuple(str(row.values[name]) for name in ("partition", "study", "series", "instance"))
