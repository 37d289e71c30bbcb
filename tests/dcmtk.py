"""Draws files with dcmtk, which shares nothing with us, to compare pictures with."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.dicom.codecs import appearance_of
from tests.unit.dicom.codecs.files import Image as Shown

PROGRAM: Final = shutil.which("dcm2img") or shutil.which("dcmj2pnm")
MISSING: Final = "NO DCMTK: pictures were not compared with an independent renderer (apt-get install dcmtk)"

MAX_OFF: Final = 1
"""Shades by which a pixel may be off: where a value lies between two shades, dcmtk takes the lower and we the
nearer."""


def draw(shown: Shown, target: Path) -> NDArray[np.uint8] | None:
    """The first frame as dcmtk draws it, with the same choice of window as ours; None where it cannot.

    It knows nothing of JPEG-LS, JPEG 2000 and what is newer.
    """
    command = [str(PROGRAM), "+F", "1", "--write-raw-pnm", *_choice(shown), str(shown.path), str(target)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return np.asarray(Image.open(target))


def _choice(shown: Shown) -> list[str]:
    """The options for the window. One in functional groups it must be told."""
    if not shown.description.photometric_interpretation.startswith("MONOCHROME"):
        return []
    appearance = appearance_of(shown.attributes, 1)
    window = appearance.window
    if window and "00281050" not in shown.attributes:
        return ["+Ww", str(window.center), str(window.width)]
    return ["+Wi", "1"] if window else ["+Wl", "1"] if appearance.voi_lut else ["+Wm"]
