"""Reading DICOM JSON that a client sends (PS3.18 annex F.2)."""

import json
from typing import Final

from shared.dicom.build import JsonDataset
from shared.dicom.encode import Number
from shared.dicom.metadata import JsonValue
from shared.errors import BadRequest

MAX_NODES: Final = 500_000
"""Elements, values and members of one text, all told: each costs some hundred bytes once it is read."""

MAX_DATASETS: Final = 10_000
"""In one list; as many instances as a request may have parts."""


def parse_json(data: bytes) -> list[JsonDataset]:
    """Read one dataset or a list of them.

    Numbers keep the digits they were sent with.

    Raises:
        BadRequest: It is no DICOM JSON, or larger than any real header.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_NODES:
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


# These do what the decoder would do without them; but it lets nobody else run until it calls something that
# is written in Python.
def _number(text: str) -> Number:
    return Number(text)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    return dict(pairs)


_DECODER: Final = json.JSONDecoder(
    parse_float=_number, parse_int=_number, parse_constant=_number, object_pairs_hook=_object
)
