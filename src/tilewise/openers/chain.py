"""A TIFF as tifffile sees it, opened with suspicion: no other folder is entered, and no chain may break off."""

from __future__ import annotations

import logging
import re
import struct
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tilewise.errors import ImageError, explain
from tilewise.openers.files import locate, refuse_broken, require_extra
from tilewise.openers.tags import find_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLANES = 10_000_000
"""Planes that a file may claim."""

BROKEN = (ValueError, LookupError, ArithmeticError, OSError, EOFError, struct.error, SyntaxError, NotImplementedError)
"""What metadata that make no sense come to; broken XML is a SyntaxError."""


@contextmanager
def open_whole(path: str) -> Iterator[tuple[Path, str, Any]]:
    """The file, the place within it, and tifffile's view of it; what tifffile only logs as an error is raised."""
    file, inside = locate(path)
    try:
        import imagecodecs  # noqa: F401  without it, tifffile decodes next to nothing
        import tifffile
    except ImportError as error:
        raise require_extra(file, "a TIFF", "tiff") from error
    with ExitStack() as stack:
        try:
            tif = _follow(file, stack, tifffile)
            yield file, inside, tif
        except ImageError:
            raise
        except (*BROKEN, tifffile.TiffFileError) as error:
            raise refuse_broken(file, explain(error), "TIFF") from error


def _follow(file: Path, stack: ExitStack, tifffile: Any) -> Any:
    """Follow the chain of pages to its end, and refuse one that breaks off.

    Args:
        file: the file.
        stack: closes it.
        tifffile: the library.
    """
    with _listen() as complaints:
        try:
            tif = stack.enter_context(tifffile.TiffFile(file))
            _check_promises(file, tif)
            _ = tif.series
        except tifffile.TiffFileError as error:
            raise refuse_broken(file, explain(error), "TIFF") from error
    if complaints:
        raise refuse_broken(file, complaints[0], "TIFF")
    return tif


@contextmanager
def _listen() -> Iterator[list[str]]:
    """What tifffile logs as an error: it goes on with what is left of a file that is cut short."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(re.sub(r"<tifffile[^>]*> ?", "", record.getMessage())[:200])

    listener, logger = Listener(logging.ERROR), logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def _check_promises(file: Path, tif: Any) -> None:
    """Refuse metadata that lead to other folders, or that would make a reader run out of memory."""
    if tif.is_ndtiff:
        raise ImageError(f"{file} is part of an NDTiff folder", "an image in one file", "Convert it to OME-Zarr.")
    if not tif.is_ome:
        return
    names, planes = find_files(tif.ome_metadata)
    if planes > PLANES:
        raise ImageError(f"{file} claims {planes} planes", f"at most {PLANES}", "Do not trust this file.")
    for name in sorted(names - {file.name}):
        place = file.parent / name
        if re.search(r"[\\/:\0]", name) or name in {".", ".."} or place.resolve().parent != file.resolve().parent:
            raise ImageError(
                f"{file} says that some of its pixels lie in {name!r}",
                "files of its own folder",
                "Do not trust this file; if it is yours, put them side by side.",
            )
