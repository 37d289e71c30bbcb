"""Native frames to pictures for people: 8 bits, grey or RGB, as JPEG, PNG or GIF."""

import io
import math
from typing import Any, Final

import numpy as np
from PIL import Image

from shared.dicom.codecs.attributes import Appearance
from shared.dicom.codecs.errors import UnsupportedPixels, failing_as
from shared.dicom.codecs.luts import Lut
from shared.dicom.codecs.model import Frame, PixelDescription, check_description
from shared.dicom.codecs.profiles import with_profile
from shared.dicom.codecs.samples import Samples, from_bytes, stored_values
from shared.dicom.codecs.shading import Shades, by_block, look_up, shade
from shared.dicom.codecs.syntaxes import EXPLICIT_LITTLE
from shared.dicom.codecs.views import Picture, RenderOptions, Viewport, fit

FULL_CHROMA_QUALITY: Final = 90
"""From here on JPEG keeps a chroma sample for each pixel."""

PNG_LEVEL: Final = 3
"""Of nine; the highest take many times as long for a few percent."""


def render_frame(frame: Frame, appearance: Appearance, options: RenderOptions, max_bytes: int) -> bytes:
    """See `shared.dicom.codecs.render_frame`."""
    description = frame.description
    check_description(description, max_bytes)
    if description.transfer_syntax != EXPLICIT_LITTLE:
        raise UnsupportedPixels("Only native frames in little endian are rendered.")
    samples = from_bytes(frame.content, description)
    colours = description.photometric_interpretation
    if description.samples_per_pixel == 3:
        image = _colour(samples, description)
    elif colours == "PALETTE COLOR":
        image = Image.fromarray(_palette(stored_values(samples, description), appearance.palette))
    else:
        image = Image.fromarray(shade(samples, description, appearance, options.window))
    with failing_as(UnsupportedPixels, "The picture cannot be written."):
        placed = _placed(image, options.viewport) if options.viewport else image
        return _written(*with_profile(placed, appearance.icc_profile, options.profile), options)


def _palette(stored: Samples, palette: tuple[Lut, ...]) -> Shades:
    if len(palette) != 3:
        raise UnsupportedPixels("The pixels are palette colour, but the dataset has no palette.")
    if stored.dtype.itemsize > 2:
        raise UnsupportedPixels("Palettes are for pixels of up to 16 bits.")

    def colours(block: Samples) -> Samples:
        return np.stack([_eight_bits(look_up(block, lut), lut) for lut in palette], axis=-1)

    return by_block(stored, colours, 3)


def _eight_bits(entries: Samples, lut: Lut) -> Samples:
    # Some writers say 16 bits and write 8.
    wide = lut.bits > 8 and max(lut.entries[1::2], default=0) > 0
    return entries >> (lut.bits - 8) if wide else entries


def _colour(samples: Samples, description: PixelDescription) -> Image.Image:
    colours = description.photometric_interpretation
    if description.floating or colours not in _COLOURS:
        raise UnsupportedPixels("Pixels of this photometric interpretation are not rendered.")

    def reduce(block: Samples) -> Samples:
        stored = stored_values(block, description).astype(np.uint64)
        return stored * 255 // ((1 << description.bits_stored) - 1)

    eight = description.bits_allocated == description.bits_stored == 8
    reduced = np.ascontiguousarray(samples).view(np.uint8) if eight else by_block(samples, reduce, 3)
    if colours == "RGB":
        return Image.fromarray(reduced)
    if colours == "YBR_PARTIAL_422":
        reduced = _full_range(reduced)
    return Image.fromarray(reduced, "YCbCr").convert("RGB")


def _full_range(samples: Shades) -> Shades:
    """Samples of 16 to 235 (chroma to 240) stretched to all there are (PS3.3 C.7.6.3.1.2)."""
    every = np.arange(256)
    luma = np.clip(np.rint((every - 16) * 255 / 219), 0, 255).astype(np.uint8)
    chroma = np.clip(np.rint((every - 128) * 255 / 224 + 128), 0, 255).astype(np.uint8)
    return np.stack([luma[samples[..., 0]], chroma[samples[..., 1]], chroma[samples[..., 2]]], axis=-1)


def _placed(image: Image.Image, viewport: Viewport) -> Image.Image:
    """The region of a viewport, scaled and flipped."""
    view = fit(viewport, image.width, image.height)
    left, top, right, bottom = view.region
    # Cut out first, or the edge of the picture would have something of what lies beyond the region.
    whole = (math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom))
    if whole != (0, 0, *image.size):
        image = image.crop(whole)
    box = (left - whole[0], top - whole[1], right - whole[0], bottom - whole[1])
    # Bilinear over all pixels that become one; a first coarse step makes thumbnails of large frames cheap.
    image = image.resize(view.size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    if view.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if view.upside_down else image


def _written(image: Image.Image, profile: bytes, options: RenderOptions) -> bytes:
    saved = io.BytesIO()
    image.save(saved, options.picture.name, **_save_options(profile, options))
    return saved.getvalue()


def _save_options(profile: bytes, options: RenderOptions) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.picture is Picture.JPEG:
        subsampling = "4:4:4" if options.quality >= FULL_CHROMA_QUALITY else "4:2:0"
        chosen = {"quality": options.quality, "subsampling": subsampling}
    if options.picture is Picture.PNG:
        chosen = {"compress_level": PNG_LEVEL}
    if profile and options.picture is not Picture.GIF:
        chosen["icc_profile"] = profile
    return chosen


_COLOURS: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"})
