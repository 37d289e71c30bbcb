"""Lets pydicom decode JPEG-LS and HTJ2K, for which it brings no decoder: a plugin as it asks for them.

HTJ2K is read by OpenJPEG here and written by OpenJPH in the service, so one checks the other.
"""

from typing import Final

import imagecodecs
from pydicom.pixels.common import PhotometricInterpretation
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import HTJ2KLossless, HTJ2KLosslessRPCL, JPEGLSLossless

READ: Final = (JPEGLSLossless, HTJ2KLossless, HTJ2KLosslessRPCL)
DECODER_DEPENDENCIES: Final = dict.fromkeys(READ, ("imagecodecs",))


def is_available(_: str) -> bool:
    """Whether what the plugin needs is installed: the service needs it too."""
    return True


def decode(source: bytes, runner: DecodeRunner) -> bytes:
    """One frame, colour by pixel."""
    runner.set_option("planar_configuration", 0)
    if runner.transfer_syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_decode(source).tobytes())
    if runner.photometric_interpretation == PhotometricInterpretation.YBR_RCT:
        runner.set_option("photometric_interpretation", PhotometricInterpretation.RGB)
    return bytes(imagecodecs.jpeg2k_decode(source, planar=False).tobytes())


def add_to_pydicom() -> None:
    """Make `pixel_array` read these syntaxes, once in a process."""
    for syntax in READ:
        decoder = get_decoder(syntax)
        if "imagecodecs" not in decoder.available_plugins:
            decoder.add_plugin("imagecodecs", (__name__, decode.__name__))
