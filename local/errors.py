"""What can go wrong in the host itself, as opposed to in the app."""


class HostError(Exception):
    """The host cannot start or go on; the message is one sentence for the person who started it."""


class SettingsError(HostError):
    """A setting, host.json or local.settings.json is wrong; the message names it."""


class AppError(HostError):
    """The function app cannot be loaded; the message says why and where."""


class FunctionFailed(Exception):
    """A function raised. The message is the exception's own line; the trace goes to the log."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace
