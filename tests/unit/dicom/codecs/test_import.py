"""What importing the codecs costs."""

import subprocess
import sys


def test_importing_the_codecs_imports_no_library() -> None:
    """Cold starts pay for numpy, imagecodecs and Pillow only when a frame is decoded."""
    code = (
        "import sys, shared.dicom.codecs;"
        "print(sorted({'numpy', 'imagecodecs', 'PIL', 'pydicom'} & sys.modules.keys()))"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
