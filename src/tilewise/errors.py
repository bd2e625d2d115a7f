"""What can go wrong, in words a user can act on: what was got, what was expected, what to do."""

from __future__ import annotations


class TilewiseError(Exception):
    """A refusal: the request cannot be met and nothing was written (exit code 2)."""

    def __init__(self, got: str, expected: str, do: str) -> None:
        super().__init__(got, expected, do)
        self.got = got
        """What was found, with its value."""
        self.expected = expected
        """The rule that it breaks."""
        self.do = do
        """The way out: a command, an option, or a change to the input."""

    def __str__(self) -> str:
        return f"{self.got}; expected {self.expected}. {self.do}"


class SettingError(TilewiseError, ValueError):
    """An option, or several together, that cannot be met."""


class ModelError(TilewiseError, ValueError):
    """A model that cannot be read, is not understood, or does not fit the image."""


class ImageError(TilewiseError, ValueError):
    """An image that cannot be opened or does not fit the model."""


class OutputError(TilewiseError, ValueError):
    """An output place that is taken, unsafe or not writable."""


class StoreError(TilewiseError, RuntimeError):
    """A store that does not answer or does not allow, or an address of none; never mistaken for a file not there."""


class RuntimeMissingError(TilewiseError, ImportError):
    """No usable onnxruntime, two of them, or a device that was asked for and does not start."""


class StoppedError(Exception):
    """A run that ended with failed blocks or was cut short; the same command resumes it (exit code 3)."""


def explain(error: BaseException) -> str:
    """A cause in one line."""
    if isinstance(error, TilewiseError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
