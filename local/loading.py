"""Importing the app folder's module, and saying in one sentence why that failed."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from local.errors import AppError
from local.settings import Settings


def import_app(settings: Settings) -> ModuleType:
    """Import the app's script with its folder first on the path.

    Raises:
        AppError: The script is missing or raises while it is imported.
    """
    path = settings.app / settings.script
    if not path.is_file():
        raise AppError(f"There is no {settings.script} in {settings.app}.")
    packages = settings.app / ".python_packages" / "lib" / "site-packages"
    for folder in (packages, settings.app):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(path.stem)
    except Exception as error:
        raise AppError(why_not_loaded(error, settings.app)) from error


def why_not_loaded(error: BaseException, app: Path) -> str:
    """Say what went wrong, and in which line of the app."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"The app cannot be loaded: {error.msg} ({Path(error.filename).name}, line {error.lineno})."
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(app) + "/")
    ]
    place = f" ({Path(frames[-1].filename).relative_to(app)}, line {frames[-1].lineno})" if frames else ""
    return f"The app cannot be loaded: {type(error).__name__}: {str(error).rstrip('.')}{place}."


def streams_are_on() -> bool:
    """Whether the app has switched on HTTP streams by importing an extension for them."""
    base = sys.modules.get("azurefunctions.extensions.base")
    return base is not None and bool(base.HttpV2FeatureChecker.http_v2_enabled())
