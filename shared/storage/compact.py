"""What a study or series says of itself, as small as a search row can have it.

A study has dozens of search rows, and each holds all that a search answers with. So the elements are written
without what follows from another part, and compressed with a dictionary of what nearly all of them contain.
"""

import json
import zlib
from collections.abc import Mapping

from shared.storage.rows import Values

_VERSION = b"\x01"
"""Of the dictionary. Whoever changes it has the index rebuilt."""

_RAW = -15
_LEVEL = 9

# What comes last is the cheapest to refer to: the attributes that nearly every study and series has.
_DICTIONARY = (
    b'"00081111":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2.840.10008.3.1.2.3.3"]},"00081155":'
    b'{"vr":"UI","Value":["1.2.840.113619.2.55.3."]}}]},"00400275":{"vr":"SQ","Value":[{"00400009":{"vr":"SH",'
    b'"Value":["","00401001":{"vr":"SH","Value":["","00400007":{"vr":"LO","Value":[""'
    b'"00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["","00080102":{"vr":"SH","Value":["99'
    b'"00080104":{"vr":"LO","Value":["ABDOMEN CHEST HEAD SPINE THORAX BRAIN KNEE PELVIS CT MR US XA CR DX MG '
    b'NM PT OT SC SR SM with without contrast"]},"00081080":{"vr":"LO","Value":["","00102180":{"vr":"SH",'
    b'"Value":["","001021B0":{"vr":"LT","Value":["","00081060":{"vr":"PN","Value":[{"Alphabetic":"'
    b'"Ideographic":"","Phonetic":""}]},"00101030":{"vr":"DS","Value":[70.0]},"00101020":{"vr":"DS","Value":['
    b'1.7]},"00101010":{"vr":"AS","Value":["045Y"]},"00200060":{"vr":"CS","Value":["R"]},"00080201":{"vr":"SH",'
    b'"Value":["+0000"]},"00081110":{"vr":"SQ"},"00080056":{"vr":"CS","Value":["ONLINE"]},'
    b'"00080005":{"vr":"CS","Value":["ISO_IR 192","ISO_IR 100"]},'
    b'"00080021":{"vr":"DA","Value":["20240101"]},"00080031":{"vr":"TM","Value":["120000.000000"]},'
    b'"00080060":{"vr":"CS","Value":["CT"]},"0008103E":{"vr":"LO","Value":["AXIAL T2 T1 SAGITTAL"]},'
    b'"00081090":{"vr":"LO","Value":[""]},"0020000E":{"vr":"UI","Value":["1.2.826.0.1.3680043."]},'
    b'"00200011":{"vr":"IS","Value":[1]},"00400244":{"vr":"DA","Value":["20240101"]},'
    b'"00400245":{"vr":"TM","Value":["120000"]},"00080020":{"vr":"DA","Value":["20240101"]},'
    b'"00080030":{"vr":"TM","Value":["120000"]},"00080050":{"vr":"SH","Value":["A"]},'
    b'"00080090":{"vr":"PN","Value":[{"Alphabetic":""}]},"00081030":{"vr":"LO","Value":[""]},'
    b'"00100010":{"vr":"PN","Value":[{"Alphabetic":"^"}]},"00100020":{"vr":"LO","Value":[""]},'
    b'"00100030":{"vr":"DA","Value":["19500101"]},"00100040":{"vr":"CS","Value":["F"]},'
    b'"0020000D":{"vr":"UI","Value":["1.2.840.113619.2.55.3."]},"00200010":{"vr":"SH","Value":["1"]},'
    b'"00080061":{"vr":"CS","Value":["CT"]}}'
)


def pack_values(values: Values) -> bytes:
    """Write elements small; the same elements in the same order give the same bytes."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    squeezed = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, zdict=_DICTIONARY)
    return _VERSION + squeezed.compress(text) + squeezed.flush()


def unpack_values(packed: object) -> Values:
    """Read what `pack_values` wrote.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(packed, bytes) or packed[:1] != _VERSION:
        raise ValueError("The values of a search row are not as this version of the service writes them.")
    opened = zlib.decompressobj(_RAW, zdict=_DICTIONARY)
    found: Mapping[str, Mapping[str, object]] = json.loads(opened.decompress(packed[1:]))
    return found
