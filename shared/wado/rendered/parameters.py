"""How a picture is asked for: the parameters of rendered resources (PS3.18 section 8.3.5) and of WADO-URI.

Unknown parameters are passed over (PS3.18 section 8.3); one that is known must be right, or the picture would
not be what its reader takes it for.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import unquote

from shared.dicom.codecs import Profile, RenderOptions, Viewport, Window
from shared.errors import BadRequest, NotAcceptable

THUMBNAIL_SIDE: Final = 128
THUMBNAIL_QUALITY: Final = 80
MAX_FRAME_NUMBER: Final = 2**31 - 1

ANNOTATIONS_LEFT_OUT: Final = "Annotations are not burned into pictures."

PLAIN: Final = RenderOptions()
"""A picture of which nothing is said."""

THUMBNAIL: Final = RenderOptions(
    quality=THUMBNAIL_QUALITY, viewport=Viewport(THUMBNAIL_SIDE, THUMBNAIL_SIDE, enlarges=False)
)
"""A thumbnail of which nothing is said. One of less than 128 pixels a side is not scaled up."""

_FUNCTIONS: Final = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_NUMBER: Final = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,2})?")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")

Parameters = Mapping[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a query says of a picture."""

    options: RenderOptions
    warnings: tuple[str, ...] = ()
    """What of it is not followed."""


def parse_rendered(query: str, default: RenderOptions = PLAIN) -> Wish:
    """Read the raw query string of a rendered resource or of a thumbnail.

    Args:
        query: The raw query string.
        default: What counts where it says nothing.

    Raises:
        BadRequest: A parameter has an impossible value, or comes twice.
    """
    found = _parameters(query)
    options = replace(
        default,
        quality=_read(found, "quality", _quality, default.quality),
        window=_read(found, "window", _window, default.window),
        viewport=_read(found, "viewport", _viewport, default.viewport),
        profile=_read(found, "iccprofile", _profile, default.profile),
    )
    return Wish(options, _warnings(found))


def parse_uri_rendered(found: Parameters) -> Wish:
    """Read the parameters of a WADO-URI request that are about the picture.

    Args:
        found: All parameters, names in lower case and values decoded.

    Raises:
        BadRequest: A parameter has an impossible value, or one of a pair is missing.
        NotAcceptable: It asks for what is not done, and what may not be passed over.

    Source: PS3.18 section 9.4.1.2.
    """
    if found.get("presentationuid") or found.get("presentationseriesuid"):
        raise NotAcceptable("Presentation states are not applied; leave presentationUID out.")
    options = RenderOptions(
        quality=_read(found, "imagequality", _quality, 100),
        window=_uri_window(found),
        viewport=_uri_viewport(found),
    )
    return Wish(options, _warnings(found))


def parse_uri_frame(found: Parameters) -> int | None:
    """The frame that a WADO-URI request names.

    Raises:
        BadRequest: It is no number from 1 up.
    """
    text = found.get("framenumber", "")
    return _whole("frameNumber", text, MAX_FRAME_NUMBER) if text else None


def _parameters(query: str) -> dict[str, str]:
    """The parameters, names in lower case; one that is empty is as good as absent."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        key, value = unquote(name).lower(), unquote(raw).strip()
        if key in _KNOWN and found.setdefault(key, value) != value:
            raise BadRequest(f"The query parameter '{key}' is given more than once.")
    return found


_KNOWN: Final = frozenset({"quality", "window", "viewport", "iccprofile", "annotation"})


def _read(found: Parameters, name: str, parse: Callable[[str], T], default: T) -> T:
    text = found.get(name, "")
    return parse(text) if text else default


def _warnings(found: Parameters) -> tuple[str, ...]:
    return (ANNOTATIONS_LEFT_OUT,) if found.get("annotation") else ()


def _quality(text: str) -> int:
    return _whole("quality", text, 100)


def _whole(name: str, text: str, most: int) -> int:
    number = int(text) if _WHOLE.fullmatch(text) else 0
    if not 1 <= number <= most:
        raise BadRequest(f"The query parameter '{name}' is invalid. It must be a whole number, 1 to {most}.")
    return number


def _number(name: str, text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(number):
        raise BadRequest(f"The query parameter '{name}' is invalid: numbers are written as -12.5.")
    return number


def _window(text: str) -> Window:
    """`center,width` or `center,width,function` (PS3.18 8.3.5.1.4)."""
    center, width, function, *more = [*text.split(","), "", "", ""][:4]
    return _checked_window("window", center, width, "?" if more[0] else function or "linear")


def _checked_window(name: str, center: str, width: str, function: str) -> Window:
    shape = _FUNCTIONS.get(function.strip().lower().replace("_", "-"))
    if shape is None:
        raise BadRequest(
            f"The query parameter '{name}' is invalid. It must be center,width,function with the function "
            f"one of {', '.join(_FUNCTIONS)}."
        )
    window = Window(_number(name, center), _number(name, width), shape)
    least = 1 if shape == "LINEAR" else 0
    if window.width < least or window.width == 0:
        raise BadRequest(
            f"The query parameter '{name}' is invalid. A window is at least 1 wide, or wider than 0 if its "
            "function is not linear."
        )
    return window


def _viewport(text: str) -> Viewport:
    """`vw,vh` or `vw,vh,sx,sy,sw,sh`, of which the last four may be left empty (PS3.18 8.3.5.1.3)."""
    fields = [field.strip() for field in text.split(",")]
    if len(fields) not in (2, 6):
        raise BadRequest("The query parameter 'viewport' is invalid. It must be vw,vh or vw,vh,sx,sy,sw,sh.")
    width, height = (_whole("viewport", field, 10**9) for field in fields[:2])
    left, top, across, down = (_number("viewport", field) if field else None for field in _six(fields)[2:])
    if across == 0 or down == 0 or min(left or 0, top or 0) < 0:
        raise BadRequest(
            "The query parameter 'viewport' is invalid. A region begins within the frame, and sw and sh are "
            "not 0."
        )
    return Viewport(width, height, left or 0.0, top or 0.0, across, down)


def _six(fields: list[str]) -> list[str]:
    return fields if len(fields) == 6 else [*fields, "", "", "", ""]


def _profile(text: str) -> Profile:
    known = {each.value: each for each in Profile}
    found = known.get(text.lower())
    if found is None:
        raise BadRequest(
            f"The query parameter 'iccprofile' is invalid. Colours are given with {', '.join(known)}; other "
            "colour spaces are not converted to."
        )
    return found


def _uri_window(found: Parameters) -> Window | None:
    center, width = found.get("windowcenter", ""), found.get("windowwidth", "")
    if not center and not width:
        return None
    if not (center and width):
        raise BadRequest("The parameters windowCenter and windowWidth go together.")
    return _checked_window("windowWidth", center, width, "linear")


def _uri_viewport(found: Parameters) -> Viewport | None:
    """`rows`, `columns` and `region`, which is left, top, right and bottom as fractions of the frame."""
    columns, rows = _side(found, "columns"), _side(found, "rows")
    region = _read(found, "region", _region, None)
    if region is None:
        return Viewport(columns, rows) if columns or rows else None
    left, top, right, bottom = region
    return Viewport(columns, rows, left, top, right - left, bottom - top, relative=True)


def _side(found: Parameters, name: str) -> int | None:
    text = found.get(name, "")
    return _whole(name, text, 10**9) if text else None


def _region(text: str) -> tuple[float, float, float, float]:
    numbers = [_number("region", field) for field in text.split(",")]
    if len(numbers) == 4:
        left, top, right, bottom = numbers
        if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
            return left, top, right, bottom
    raise BadRequest(
        "The parameter region is invalid. It must be left,top,right,bottom as fractions of the image, 0 to 1."
    )
