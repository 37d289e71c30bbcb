"""Stored grey values to shades: modality, VOI and presentation (PS3.3 C.11, PS3.4 N.2).

Each step is a function of one value, so with samples of up to 16 bits the whole way is worked out once for
every pattern of bits there is, and then looked up.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.dicom.codecs.attributes import Appearance, Window
from shared.dicom.codecs.luts import Lut
from shared.dicom.codecs.model import PixelDescription
from shared.dicom.codecs.samples import Samples, sample_type, stored_values

Floats = NDArray[np.floating[Any]]
Shades = NDArray[np.uint8]

BLOCK_PIXELS: Final = 1024 * 1024
"""Worked on at once, as the steps between take eight bytes and more a pixel."""

TABLE_BITS: Final = 16


def shade(
    samples: Samples, description: PixelDescription, appearance: Appearance, window: Window | None
) -> Shades:
    """The shade of every pixel, 0 black to 255 white.

    Args:
        samples: (row, column), as stored.
        description: What they are.
        appearance: What the dataset says of how it is to be seen.
        window: The window that a client asked for, in place of the dataset's.
    """
    chosen = window or appearance.window or appearance.voi_lut
    inverse = description.photometric_interpretation == "MONOCHROME1" or appearance.inverse

    def shades(values: Samples, voi: Window | Lut) -> Shades:
        seen = _seen(_modal(stored_values(values, description), appearance), voi)
        return 255 - seen if inverse else seen

    with np.errstate(all="ignore"):
        if description.floating or description.bits_allocated > TABLE_BITS:
            voi = chosen or _range(_measured(samples, description, appearance))
            return by_block(samples, lambda block: shades(block, voi))
        voi = chosen or _range(_present(samples, description, appearance))
        table = shades(_patterns(description), voi)
        return by_block(samples, lambda block: table.take(_as_unsigned(block)))


def by_block(samples: Samples, convert: Callable[[Samples], Samples], *shape: int) -> Shades:
    """Convert pixels some rows at a time; `shape` is what each becomes, nothing for a number."""
    converted = np.empty((*samples.shape[:2], *shape), np.uint8)
    for start, block in _blocks(samples):
        converted[start : start + len(block)] = convert(block)
    return converted


def look_up(values: Samples, lut: Lut) -> Samples:
    """The entries of a table for values, the outermost beyond its ends."""
    entries = np.frombuffer(lut.entries, "<u2")
    # Widened first, as small unsigned values would wrap round below the first one.
    index = np.clip(np.nan_to_num(values.astype(np.float64)) - lut.first, 0, len(entries) - 1)
    found: Samples = entries.take(index.astype(np.intp))
    return found


def _blocks(samples: Samples) -> Iterator[tuple[int, Samples]]:
    step = max(BLOCK_PIXELS // samples.shape[1], 1)
    for start in range(0, len(samples), step):
        yield start, samples[start : start + step]


def _patterns(description: PixelDescription) -> Samples:
    """Every sample there can be, in the order of its bits read as an unsigned number."""
    kind = sample_type(description)
    return np.arange(1 << 8 * kind.itemsize).astype(f"<u{kind.itemsize}").view(kind)


def _as_unsigned(samples: Samples) -> Samples:
    return samples.view(f"<u{samples.dtype.itemsize}")


def _modal(stored: Samples, appearance: Appearance) -> Floats:
    """Values as the modality means them."""
    if appearance.modality_lut:
        return look_up(stored, appearance.modality_lut).astype(np.float64)
    return stored * np.float64(appearance.slope) + appearance.intercept


def _seen(values: Floats, voi: Window | Lut) -> Shades:
    """Values of interest from black to white."""
    if isinstance(voi, Lut):
        white = (1 << voi.bits) - 1
        levels: Floats = look_up(values, voi) / white
    else:
        levels = _WINDOWS.get(voi.function, _linear)(values, voi)
    return np.rint(np.clip(np.nan_to_num(levels), 0.0, 1.0) * 255.0).astype(np.uint8)


def _linear(values: Floats, window: Window) -> Floats:
    """PS3.3 C.11.2.1.2.1: the width counts values, so a width of one is a threshold."""
    return _ramp(values, window.center - 0.5, window.width - 1)


def _linear_exact(values: Floats, window: Window) -> Floats:
    return _ramp(values, window.center, window.width)


def _ramp(values: Floats, center: float, width: float) -> Floats:
    if width <= 0:
        return (values > center).astype(np.float64)
    return (values - center) / width + 0.5


def _sigmoid(values: Floats, window: Window) -> Floats:
    return 1.0 / (1.0 + np.exp(-4.0 * (values - window.center) / max(window.width, 1e-9)))


def _range(bounds: tuple[float, float]) -> Window:
    """The window from black to white for the values there are."""
    low, high = bounds
    return Window(low / 2 + high / 2, high - low, "LINEAR_EXACT")


def _present(samples: Samples, description: PixelDescription, appearance: Appearance) -> tuple[float, float]:
    """The lowest and highest value that occurs, padding left out.

    Of a frame with a single value, the lowest and highest there can be.
    """
    found = np.zeros(1 << 8 * samples.dtype.itemsize, np.bool_)
    for _, block in _blocks(samples):
        found[_as_unsigned(block)] = True
    stored = stored_values(_patterns(description), description)
    occurring = stored[found & ~_padding(stored, appearance)]
    if not occurring.size or occurring.min() == occurring.max():
        occurring = stored
        if description.bits_allocated == 1:
            occurring = np.array([0, 1])
    values = _modal(occurring, appearance)
    return float(values.min()), float(values.max())


def _measured(samples: Samples, description: PixelDescription, appearance: Appearance) -> tuple[float, float]:
    """The same for samples too wide to be counted."""
    low, high = np.inf, -np.inf
    for _, block in _blocks(samples):
        stored = stored_values(block, description)
        values = _modal(stored[~_padding(stored, appearance)], appearance)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 1.0)


def _padding(stored: Samples, appearance: Appearance) -> NDArray[np.bool_]:
    if appearance.padding is None:
        return np.zeros(stored.shape, np.bool_)
    low, high = appearance.padding
    padding: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return padding


_WINDOWS: Final = {"LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid}
