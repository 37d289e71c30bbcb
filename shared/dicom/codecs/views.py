"""How a client wants a picture (PS3.18 section 8.3.5), and what of the frame that shows."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from shared.dicom.codecs.attributes import Window
from shared.dicom.codecs.errors import UnsupportedPixels

MAX_PICTURE_PIXELS: Final = 64 * 1024 * 1024
MAX_PICTURE_SIDE: Final = 65_500
"""The most that JPEG holds. A larger picture is refused."""


class Picture(Enum):
    """A format that a frame is rendered to, by its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    GIF = "image/gif"


class Profile(Enum):
    """What is done with ICC profiles: the `iccprofile` parameter (PS3.18 8.3.5.1.5)."""

    NO = "no"
    """None is in the picture."""

    YES = "yes"
    """The dataset's own is in a picture in colour, or that of sRGB where the dataset has none."""

    SRGB = "srgb"
    """Colours are converted to sRGB, whose profile is in the picture."""


@dataclass(frozen=True, slots=True)
class Viewport:
    """The region to show, and the room it is scaled into (PS3.18 8.3.5.1.3 and 9.4.1.2)."""

    width: int | None
    """Pixels of the picture at most; the shape of the region is kept. None where only the height counts."""

    height: int | None

    left: float = 0.0
    """Where the region starts, in pixels of the frame."""

    top: float = 0.0

    across: float | None = None
    """Width of the region, negative to flip it from side to side; None for all there is."""

    down: float | None = None
    """Height of the region, negative to flip it upside down; None for all there is."""

    relative: bool = False
    """Whether the region is given in fractions of the frame instead."""

    enlarges: bool = True
    """Whether a region smaller than the room is scaled up to it."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a client may ask of a rendered frame."""

    picture: Picture = Picture.JPEG
    quality: int = 100
    """1 to 100; of JPEG alone."""

    window: Window | None = None
    """In place of the dataset's."""

    viewport: Viewport | None = None
    profile: Profile = Profile.NO


class View(NamedTuple):
    """What a viewport comes to for a frame."""

    region: tuple[float, float, float, float]
    """Left, top, right and bottom."""

    size: tuple[int, int]
    """Columns and rows of the picture."""

    mirrored: bool
    upside_down: bool


def fit(viewport: Viewport, columns: int, rows: int) -> View:
    """Scale a region of a frame into a viewport, in its own proportions.

    Raises:
        UnsupportedPixels: The region lies outside the frame, or the viewport is none or too large.
    """
    wide, high = (columns, rows) if viewport.relative else (1, 1)
    start, end = viewport.left * wide, viewport.top * high
    across = columns - start if viewport.across is None else viewport.across * wide
    down = rows - end if viewport.down is None else viewport.down * high
    left, right = max(start, 0.0), min(start + abs(across), columns)
    top, bottom = max(end, 0.0), min(end + abs(down), rows)
    if not (left < right and top < bottom):
        raise UnsupportedPixels("The region of the viewport holds nothing of the frame.")
    size = _size(viewport, right - left, bottom - top)
    return View((left, top, right, bottom), size, across < 0, down < 0)


def _size(viewport: Viewport, across: float, down: float) -> tuple[int, int]:
    sides = ((viewport.width, across), (viewport.height, down))
    if any(room is not None and room < 1 for room, _ in sides):
        raise UnsupportedPixels("A viewport has at least one pixel.")
    scale = min((room / side for room, side in sides if room is not None), default=1.0)
    if not viewport.enlarges:
        scale = min(scale, 1.0)
    columns, rows = max(round(across * scale), 1), max(round(down * scale), 1)
    if columns * rows > MAX_PICTURE_PIXELS or max(columns, rows) > MAX_PICTURE_SIDE:
        raise UnsupportedPixels(
            f"A viewport has up to {MAX_PICTURE_PIXELS} pixels, and {MAX_PICTURE_SIDE} on a side."
        )
    return columns, rows
