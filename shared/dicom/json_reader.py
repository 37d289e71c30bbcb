"""Reading DICOM JSON that a client sends (PS3.18 annex F.2)."""

import json
import re
from typing import Final

from shared.dicom.build import JsonDataset
from shared.dicom.encode import Number
from shared.dicom.metadata import JsonValue
from shared.errors import BadRequest

MAX_NODES: Final = 200_000
"""Elements, values and members of one text, all told: each costs up to some hundred bytes once it is read."""

MAX_DATASETS: Final = 10_000
"""In one list; as many instances as a request may have parts."""


def parse_json(data: bytes) -> list[JsonDataset]:
    """Read one dataset or a list of them.

    Numbers keep the digits they were sent with.

    Raises:
        BadRequest: It is no DICOM JSON, or larger than any real header.
    """
    if _has_too_many_nodes(data):
        raise BadRequest(f"The JSON has more than {MAX_NODES} values.")
    try:
        found = _DECODER.decode(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadRequest("The JSON is not in UTF-8.") from error
    except RecursionError as error:
        raise BadRequest("The JSON is nested too deep.") from error
    except ValueError as error:
        raise BadRequest("The metadata are not JSON.") from error
    datasets = found if isinstance(found, list) else [found]
    if len(datasets) > MAX_DATASETS:
        raise BadRequest(f"The JSON has more than {MAX_DATASETS} datasets. Send several requests.")
    if not all(isinstance(dataset, dict) for dataset in datasets):
        raise BadRequest("The metadata must be a dataset, or a list of datasets.")
    return datasets


def _has_too_many_nodes(data: bytes) -> bool:
    """Whether more than `MAX_NODES` begin in a text; commas and brackets within strings begin none."""
    if _nodes(data) <= MAX_NODES:
        return False
    # Backslashes stand in strings only, where they would hide what ends them.
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")
    # An element has a few strings; a text of nothing else need not be looked at string by string.
    return plain.count(b'"') > 8 * MAX_NODES or _nodes(_STRING.sub(_nothing, plain)) > MAX_NODES


def _nodes(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")


# These do what would be done without them; but neither the decoder nor a substitution lets anybody else run
# until it calls something that is written in Python.
def _nothing(_: re.Match[bytes]) -> bytes:
    return b""


def _number(text: str) -> Number:
    return Number(text)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Which of the two is meant nobody can tell (RFC 8259 section 4).
        raise BadRequest("An object of the JSON has two members of the same name.")
    return found


_STRING: Final = re.compile(rb'"[^"]*"')
_DECODER: Final = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_object
)
