"""The studies of a made-up hospital: ten years of patients who come again, of names that repeat.

Everything about a study follows from the seed, its number and the size of the archive alone, so that any
study can be asked for without reading the archive.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Final

from bench.files import CT_IMAGE, UID_ROOT

YEARS: Final = 10
LAST_DAY: Final = datetime(2025, 6, 30, 18, tzinfo=UTC)
"""When the last study came."""

STUDIES_OF_A_PATIENT: Final = 2.5
SERIES: Final = 2
INSTANCES: Final = 2
"""Of each series."""


def _words(text: str) -> list[str]:
    return text.split()


_FAMILIES: Final = tuple(
    _words(
        """
        Andersen Bakker Bauer Berg Bianchi Carlsson Costa Dubois Eriksson Fernández Fischer García González
        Hansen Herrera Hoffmann Horváth Ivanova Jansen Johansson Kaya Keller Kowalska Kumar Lange Larsson
        Lindqvist López Maier Martínez Meyer Moreau Müller Nagy Nakamura Nguyen Nielsen Novák O'Brien Olsen
        Pereira Peters Petrov Popescu Rossi Sato Schäfer Schmidt Schneider Schulz Silva Simon Smith Sørensen
        Suzuki Szabó Tanaka Visser Vogel Wagner Walsh Weber Weiß Wójcik Yilmaz Zhang Zimmermann Åberg Çelik
        Öztürk
        """
    )
)
_BEGINNINGS: Final = ("", "", "", "", "van ", "de ", "Mac", "von ")
_GIVEN: Final = tuple(
    _words(
        """
        Ada Aisha Alexander Ana Anna Anton Beatriz Björn Carla Chloé David Elena Elif Emil Emma Erik Fatima
        Felix Francesca Georg Giulia Hana Hannah Henrik Hugo Ida Ines Ingrid Isabel Ivan Jakob Jan José
        Julia Karin Karl Katarzyna Kenji Lars Laura Lea Leo Lucas Luisa Magnus María Marie Mark Matteo Mia
        Mohamed Nadia Nils Nina Noah Nora Olga Oskar Paul Pedro Petra Pierre Rosa Sara Sofia Stefan Svea
        Sven Thomas Tomáš Vera Viktor Yuki Zoë
        """
    )
)
_MODALITIES: Final = {"CR": 30, "CT": 25, "MR": 18, "US": 12, "DX": 8, "MG": 4, "NM": 2, "PT": 1}
_REGIONS: Final = (
    "Abdomen", "Ankle", "Aorta", "Brain", "Breast", "Cervical spine", "Chest", "Elbow", "Face", "Foot",
    "Hand", "Head and neck", "Heart", "Hip", "Knee", "Liver", "Lumbar spine", "Pelvis", "Shoulder", "Thorax",
    "Thyroid", "Whole body", "Wrist",
)  # fmt: skip
_MANNERS: Final = (
    "", " with contrast", " without contrast", " follow-up", " two views", " screening", " acute",
    " angiography", " post-op", " before treatment", " low dose", " guided biopsy",
)  # fmt: skip
_PHYSICIANS: Final = 60
_SCANNERS: Final = 14
_PREFIX: Final = {"CR": "XR", "DX": "XR"}


@dataclass(frozen=True, slots=True)
class Hospital:
    """An archive of a size."""

    studies: int
    seed: int = 1

    def study(self, number: int) -> "MadeStudy":
        """One of its studies; they came in the order of their numbers, from 0."""
        return _make_study(self, number)

    def arrival(self, number: int) -> datetime:
        """When a study came: as many each day."""
        step = timedelta(days=365.25 * YEARS) / self.studies
        return LAST_DAY - step * (self.studies - 1 - number)


@dataclass(frozen=True, slots=True)
class MadeSeries:
    """A series and the UIDs of its instances."""

    uid: str
    values: Mapping[str, Any]
    """DICOM JSON by tag."""

    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeStudy:
    """A study."""

    uid: str
    arrived: datetime
    values: Mapping[str, Any]
    """DICOM JSON by tag, as its files say it."""

    series: tuple[MadeSeries, ...]

    @property
    def step(self) -> str:
        """Scheduled Procedure Step ID of its series."""
        item = self.series[0].values["00400275"]["Value"][0]
        return str(item["00400009"]["Value"][0])

    def text(self, tag: str) -> str:
        """The value of an attribute at study level, or of the first series."""
        value = {**self.series[0].values, **self.values}[tag]["Value"][0]
        return str(value["Alphabetic"] if isinstance(value, dict) else value)


@lru_cache(maxsize=1024)
def _make_study(hospital: Hospital, number: int) -> MadeStudy:
    random = Random(f"{hospital.seed} study {number}")
    patients = max(1, round(hospital.studies / STUDIES_OF_A_PATIENT))
    patient = random.randrange(patients)
    arrived = hospital.arrival(number)
    day = (arrived - timedelta(days=random.choice((0,) * 19 + (1,)) * random.randrange(1, 400))).date()
    modality = random.choices(list(_MODALITIES), list(_MODALITIES.values()))[0]
    uid = f"{UID_ROOT}.{hospital.seed}.{number}.{random.randrange(10**9)}"
    region, manner = random.choice(_REGIONS), random.choice(_MANNERS)
    values = {
        "00080005": _element("CS", "ISO_IR 192"),
        "00080020": _element("DA", f"{day:%Y%m%d}"),
        "00080030": _element("TM", f"{arrived:%H%M%S}"),
        "00080050": _element("SH", f"{day:%y}{number:08d}"),
        "00080090": _name(*_physician(hospital.seed, random.randrange(_PHYSICIANS))),
        "00081030": _element("LO", f"{_PREFIX.get(modality, modality)} {region}{manner}"),
        **_patient(hospital.seed, patient),
        "0020000D": _element("UI", uid),
        "00200010": _element("SH", f"{number % 100_000}"),
    }
    series = tuple(_series(uid, each, (modality, region, day), number) for each in range(SERIES))
    return MadeStudy(uid, arrived, values, series)


def _patient(seed: int, number: int) -> Mapping[str, Any]:
    random = Random(f"{seed} patient {number}")
    family = random.choice(_BEGINNINGS) + random.choice(_FAMILIES)
    family += f"-{random.choice(_FAMILIES)}" if random.random() < 0.1 else ""
    given = random.choice(_GIVEN) + (f" {random.choice(_GIVEN)}" if random.random() < 0.3 else "")
    born = date(1930, 1, 1) + timedelta(days=random.randrange(32_000))
    return {
        "00100010": _name(family, given),
        "00100020": _element("LO", f"{random.randrange(10):d}{number:07d}"),
        "00100030": _element("DA", f"{born:%Y%m%d}"),
        "00100040": _element("CS", random.choice("FM")),
    }


def _physician(seed: int, number: int) -> tuple[str, str]:
    random = Random(f"{seed} physician {number}")
    return random.choice(_FAMILIES), random.choice(_GIVEN)


def _series(study: str, number: int, what: tuple[str, str, date], of_study: int) -> MadeSeries:
    modality, region, day = what
    uid = f"{study}.{number + 1}"
    item = {"00400009": _element("SH", f"SPS{of_study}"), "00401001": _element("SH", f"RP{of_study}")}
    values = {
        "00080005": _element("CS", "ISO_IR 192"),
        "00080021": _element("DA", f"{day:%Y%m%d}"),
        "00080060": _element("CS", modality),
        "0008103E": _element("LO", f"{region} {number + 1}"),
        "00081090": _element("LO", f"{modality} scanner {of_study % _SCANNERS}"),
        "0020000E": _element("UI", uid),
        "00200011": _element("IS", number + 1),
        "00400244": _element("DA", f"{day:%Y%m%d}"),
        "00400275": {"vr": "SQ", "Value": [item]},
    }
    return MadeSeries(uid, values, tuple(f"{uid}.{each + 1}" for each in range(INSTANCES)))


def instance_values(uid: str) -> Mapping[str, Any]:
    """What an instance says of itself."""
    return {
        "00080005": _element("CS", "ISO_IR 192"),
        "00080016": _element("UI", CT_IMAGE),
        "00080018": _element("UI", uid),
        "00200013": _element("IS", int(uid.rpartition(".")[2])),
        "00280010": _element("US", 512),
        "00280011": _element("US", 512),
        "00280100": _element("US", 16),
    }


def _element(vr: str, value: object) -> Mapping[str, Any]:
    return {"vr": vr, "Value": [value]}


def _name(family: str, given: str) -> Mapping[str, Any]:
    return _element("PN", {"Alphabetic": f"{family}^{given}"})


def every_study(hospital: Hospital) -> Iterator[MadeStudy]:
    """All studies, the first to come first."""
    return (hospital.study(number) for number in range(hospital.studies))
