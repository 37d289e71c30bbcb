"""Makes image files with known pixels, and reads pictures that come back."""

import io
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from shared.dicom.codecs import encode_frame
from shared.dicom.codecs.model import PixelDescription
from tests.factories import EXPLICIT, Instance, as_instance, make_dataset

Pixels = NDArray[np.generic]


def make_picture(pixels: Pixels, transfer_syntax: str = EXPLICIT, /, **attributes: object) -> Instance:
    """A file whose stored values are these.

    Args:
        pixels: (row, column) or (row, column, sample), or with frames before; grey frames are not 3 wide.
        transfer_syntax: Native, or one that frames are encoded to.
        attributes: As for `make_dataset`; they go before what the pixels say.
    """
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels if pixels.ndim == (4 if colour else 3) else pixels[np.newaxis]
    described = _attributes(frames, colour=colour)
    dataset = make_dataset(**{**described, **attributes})
    if transfer_syntax.startswith("1.2.840.10008.1.2.4") or transfer_syntax.endswith(".1.2.5"):
        contents = [encode_frame(frame.tobytes(), _description(dataset), transfer_syntax) for frame in frames]
        if contents[0].description.photometric_interpretation == "YBR_RCT":
            dataset.PhotometricInterpretation = "YBR_RCT"
        dataset.PixelData = encapsulate([each.content + b"\0" * (len(each.content) % 2) for each in contents])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    else:
        content = frames.tobytes()
        dataset.PixelData = content + b"\0" * (len(content) % 2)
        dataset["PixelData"].VR = "OB" if frames.dtype.itemsize == 1 else "OW"
    return as_instance(dataset, transfer_syntax)


def picture_of(answer: httpx.Response) -> Image.Image:
    """The picture in an answer, which must be a good one."""
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    assert answer.headers["Content-Type"] == f"image/{str(image.format).lower()}"
    return image


def shades(answer: httpx.Response) -> list[Any]:
    """The pixels of a picture, row by row: a number each, or three."""
    found: list[Any] = np.asarray(picture_of(answer)).tolist()
    return found


def _attributes(frames: Pixels, *, colour: bool) -> dict[str, object]:
    bits = 8 * frames.dtype.itemsize
    described: dict[str, object] = {
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(frames.dtype.kind == "i"),
    }
    if colour:
        described["PlanarConfiguration"] = 0
    if len(frames) > 1:
        described["NumberOfFrames"] = len(frames)
    return described


def _description(dataset: Dataset) -> PixelDescription:
    return PixelDescription(
        EXPLICIT,
        dataset.Rows,
        dataset.Columns,
        dataset.SamplesPerPixel,
        dataset.PhotometricInterpretation,
        dataset.BitsAllocated,
        dataset.BitsStored,
        dataset.HighBit,
        dataset.PixelRepresentation,
    )
