"""ICC profiles of pictures in colour (PS3.18 section 8.3.5.1.5)."""

import io
from functools import cache
from typing import Final

from PIL import Image, ImageCms

from shared.dicom.codecs.errors import UnsupportedPixels, failing_as
from shared.dicom.codecs.views import Profile

_DATE: Final = slice(24, 36)
"""Where a profile says when it was made (ICC.1 section 7.2)."""


def with_profile(image: Image.Image, own: bytes, profile: Profile) -> tuple[Image.Image, bytes]:
    """A picture with its colours as asked for, and the profile to put into it.

    Args:
        image: Grey or RGB; shades of grey have no profile.
        own: The dataset's profile, empty where there is none: its colours are then taken for sRGB.
        profile: What the client asks for.

    Raises:
        UnsupportedPixels: The dataset's profile cannot be used.
    """
    if profile is Profile.NO or image.mode != "RGB":
        return image, b""
    if profile is Profile.YES:
        return image, own or srgb()
    return _converted(image, own) if own else image, srgb()


@cache
def srgb() -> bytes:
    """The profile of sRGB, the same at all times."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Otherwise the same picture would have other bytes at each start.
    return content[: _DATE.start] + bytes(_DATE.stop - _DATE.start) + content[_DATE.stop :]


def _converted(image: Image.Image, own: bytes) -> Image.Image:
    with failing_as(UnsupportedPixels, "The ICC profile of the dataset cannot be used."):
        source, target = (ImageCms.ImageCmsProfile(io.BytesIO(content)) for content in (own, srgb()))
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    if converted is None:
        raise UnsupportedPixels("The ICC profile of the dataset cannot be used.")
    return converted
