"""The front of a Part 10 file: preamble, group 0002, and how the dataset is written (PS3.10 section 7.1)."""

from dataclasses import dataclass
from typing import Final

from shared.dicom.errors import NotDicom
from shared.dicom.headers import READ_HEADER, SHORT_HEADER_BYTES, Coding, Scope
from shared.dicom.uid import is_uid

PREAMBLE: Final = bytes(128) + b"DICM"
"""What the caller puts before a file that begins with group 0002 at once."""

MAX_META_BYTES: Final = 64 * 1024
"""Of group 0002."""

DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated Explicit VR, and the two JPIP syntaxes whose dataset is deflated."""

# What GE calls its big endian syntax has only the pixels so; the elements are implicit VR little endian.
_IMPLICIT: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
_EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
_GROUP: Final = b"\x02\x00"
_GROUP_LENGTH: Final = 0x00020000
_TRANSFER_SYNTAX: Final = 0x00020010
_READ: Final = READ_HEADER[Coding.EXPLICIT_LITTLE]


@dataclass(frozen=True, slots=True)
class Front:
    """What the front of a file says."""

    has_preamble: bool
    transfer_syntax: str
    coding: Coding
    size: int
    """Bytes of it as received: the dataset starts behind them."""

    @property
    def deflated(self) -> bool:
        """Whether the dataset is deflated."""
        return self.transfer_syntax in DEFLATED


def has_preamble(head: bytes, *, complete: bool) -> bool | None:
    """Whether a file starts with a preamble, or at once with group 0002; None when too few bytes are there.

    Raises:
        NotDicom: It does neither.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < len(PREAMBLE) and not complete:
        return None
    # The VR tells group 0002 from a dataset without any meta header and from text that happens to begin so.
    if head[:2] == _GROUP and (head[4:6].isupper() or head[2:4] == b"\0\0"):
        return False
    raise NotDicom("The file has no DICM marker after 128 bytes and does not begin with group 0002.")


def read_front(head: bytes, *, complete: bool) -> Front | None:
    """Read the front of a file; None when more bytes are needed.

    Args:
        head: The file from its first byte on.
        complete: Whether these are all its bytes.

    Raises:
        NotDicom: This is no Part 10 file, or its front names no transfer syntax.
    """
    preamble = has_preamble(head, complete=complete)
    if preamble is None:
        return None
    at = len(PREAMBLE) if preamble else 0
    found = _read_group(head, at)
    # Six bytes of the dataset tell whether it is written as declared.
    if found is None or (len(head) < found[1] + 6 and not complete):
        if len(head) - at > MAX_META_BYTES + 6 or complete:
            raise NotDicom("Group 0002 is cut off or too long.")
        return None
    transfer_syntax, end = found
    if end - at > MAX_META_BYTES:
        raise NotDicom("Group 0002 is too long.")
    if end == at:
        raise NotDicom("The file has no group 0002.")
    if not is_uid(transfer_syntax):
        raise NotDicom("Group 0002 names no transfer syntax.")
    return Front(preamble, transfer_syntax, _coding(transfer_syntax, head[end + 4 : end + 6]), end)


def _read_group(head: bytes, at: int) -> tuple[str, int] | None:
    """The transfer syntax and where group 0002 ends; None when it is not all there.

    The group's length is often wrong and sometimes absent, so the group lasts as long as its elements do.
    Only before deflated bytes, which may look like anything, is the length believed where an element ends.
    """
    transfer_syntax, declared_end = "", -1
    while head[at : at + 2] == _GROUP and not (at == declared_end and transfer_syntax in DEFLATED):
        header = _READ(head, at, Scope()) if len(head) - at >= SHORT_HEADER_BYTES else None
        if header is None or header[1] + header[2] > len(head):
            return None
        plan, start, length = header
        raw = head[start : start + length]
        at = start + length
        if plan.tag == _GROUP_LENGTH:
            declared_end = at + int.from_bytes(raw, "little")
        elif plan.tag == _TRANSFER_SYNTAX:
            transfer_syntax = str(raw, "latin-1").strip("\0 ")
    return (transfer_syntax, at) if len(head) - at != 1 else None


def _coding(transfer_syntax: str, vr: bytes) -> Coding:
    """How the dataset is written: as declared, unless its first element shows otherwise."""
    explicit = vr.isalpha() and vr.isupper()
    if transfer_syntax in DEFLATED:
        return Coding.EXPLICIT_LITTLE
    if transfer_syntax in _IMPLICIT or not explicit:
        return Coding.EXPLICIT_LITTLE if explicit else Coding.IMPLICIT
    return Coding.EXPLICIT_BIG if transfer_syntax == _EXPLICIT_BIG else Coding.EXPLICIT_LITTLE
