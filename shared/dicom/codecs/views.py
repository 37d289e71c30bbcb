"""How a client wants a picture (PS3.18 section 8.3.5), and what of the frame that shows."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from shared.dicom.codecs.attributes import Window
from shared.dicom.codecs.errors import UnsupportedPixels

MAX_PICTURE_PIXELS: Final = 64 * 1024 * 1024
"""A larger viewport is refused."""


class Picture(Enum):
    """A format that a frame is rendered to, by its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    GIF = "image/gif"


@dataclass(frozen=True, slots=True)
class Viewport:
    """The `viewport` parameter: the region to show, and the room it is scaled into (PS3.18 8.3.5.1.2)."""

    width: int
    """Pixels of the picture at most; the shape of the region is kept."""

    height: int

    left: float = 0.0
    """Where the region starts, in pixels of the frame."""

    top: float = 0.0

    across: float | None = None
    """Width of the region, negative to flip it from side to side; None for all there is."""

    down: float | None = None
    """Height of the region, negative to flip it upside down; None for all there is."""


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What a client may ask of a rendered frame."""

    picture: Picture = Picture.JPEG
    quality: int = 100
    """1 to 100; of JPEG alone."""

    window: Window | None = None
    """In place of the dataset's."""

    viewport: Viewport | None = None
    profile: bool = False
    """Whether the dataset's ICC profile is put into the picture."""


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
    across = columns - viewport.left if viewport.across is None else viewport.across
    down = rows - viewport.top if viewport.down is None else viewport.down
    left, right = max(viewport.left, 0.0), min(viewport.left + abs(across), columns)
    top, bottom = max(viewport.top, 0.0), min(viewport.top + abs(down), rows)
    if not (left < right and top < bottom):
        raise UnsupportedPixels("The region of the viewport holds nothing of the frame.")
    if viewport.width < 1 or viewport.height < 1 or viewport.width * viewport.height > MAX_PICTURE_PIXELS:
        raise UnsupportedPixels(f"A viewport has 1 to {MAX_PICTURE_PIXELS} pixels.")
    scale = min(viewport.width / (right - left), viewport.height / (bottom - top))
    size = max(round((right - left) * scale), 1), max(round((bottom - top) * scale), 1)
    return View((left, top, right, bottom), size, across < 0, down < 0)
