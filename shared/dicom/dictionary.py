"""pydicom's data dictionaries, without pydicom.

Importing any part of pydicom imports all of it and, where installed, numpy: a quarter of a second in a
cold start. The two dictionaries are plain literals that need nothing else, so their files are run alone
(7 ms each, once, and only when something is looked up).
"""

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple


class Entry(NamedTuple):
    """What the standard says about one attribute."""

    vr: str
    """One VR, or a choice such as "US or SS"."""

    multiplicity: str
    """Such as "1", "1-n" or "2-2n"."""

    keyword: str


def entry_of(tag: int) -> Entry | None:
    """Look a standard attribute up, repeating groups such as 60xx included."""
    found = _standard().get(tag) or _repeating().get(_masked(tag) or "")
    return Entry(found[0], found[1], found[4]) if found else None


def private_vr_of(creator: str, tag: int) -> str | None:
    """The VR of a private attribute, if its creator is known."""
    attributes = _private().get(creator)
    if attributes is None:
        return None
    text = f"{tag:08X}"
    found = attributes.get(f"{text[:4]}xx{text[6:]}") or attributes.get(text)
    return found[0] if found else None


@cache
def tag_of(keyword: str) -> int | None:
    """The tag of a keyword such as PatientName, or None."""
    return _keywords().get(keyword)


@cache
def _keywords() -> dict[str, int]:
    return {found[4]: tag for tag, found in _standard().items() if found[4]}


def _masked(tag: int) -> str | None:
    """The key of the repeating attribute this tag belongs to, if it could be one."""
    text = f"{tag:08X}"
    # Few groups have such attributes, and a file may have a million tags that nobody knows.
    groups = _repeating_groups()
    if text[:4] not in groups and f"{text[:2]}xx" not in groups:
        return None
    known = _repeating()
    return next((mask for mask in _masks(text) if mask in known), None)


def _masks(text: str) -> tuple[str, ...]:
    """Every way in which the dictionary masks a tag: 60xx3000, 002031xx, 002804x0, 1000xxx0, 1010xxxx."""
    return (
        f"{text[:2]}xx{text[4:]}",
        f"{text[:6]}xx",
        f"{text[:6]}x{text[7:]}",
        f"{text[:4]}xxx{text[7:]}",
        f"{text[:4]}xxxx",
    )


@cache
def _standard() -> dict[int, tuple[str, str, str, str, str]]:
    found: dict[int, tuple[str, str, str, str, str]] = _run("_dicom_dict").DicomDictionary
    return found


@cache
def _repeating() -> dict[str, tuple[str, str, str, str, str]]:
    found: dict[str, tuple[str, str, str, str, str]] = _run("_dicom_dict").RepeatersDictionary
    return found


@cache
def _repeating_groups() -> frozenset[str]:
    return frozenset(mask[:4] for mask in _repeating())


@cache
def _private() -> dict[str, dict[str, tuple[str, str, str, str]]]:
    found: dict[str, dict[str, tuple[str, str, str, str]]] = _run("_private_dict").private_dictionaries
    return found


@cache
def _run(name: str) -> ModuleType:
    """Run one file of pydicom that imports nothing."""
    package = find_spec("pydicom")
    if package is None or package.origin is None:
        raise ImportError("pydicom is not installed")
    spec = spec_from_file_location(f"shared.dicom.{name}", Path(package.origin).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(f"pydicom has no {name}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
