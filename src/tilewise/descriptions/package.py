"""A description with its files: a folder, or an archive of one; files are taken out into the user's cache only."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tilewise.cache import cache_folder
from tilewise.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

NAMES = ("rdf.yaml", "bioimageio.yaml", "rdf.yml", "bioimageio.yml", "model.yaml")
"""What descriptions are called, the likeliest first."""
ENDINGS = (".rdf.yaml", ".bioimageio.yaml", ".model.yaml", ".yaml", ".yml")
"""What other names of descriptions end in, the likeliest first."""
PIECE = 1 << 22
"""Bytes that are copied or hashed at once."""
TEXT = 4 << 20
"""Bytes that a description may have."""
BOMB = 1 << 30
"""Bytes of one file of an archive above which it must not be packed more tightly than 1 to 200."""


@dataclass(frozen=True)
class Package:
    """Where a description lies, and its files with it."""

    root: Path
    """The folder, or the archive."""
    name: str
    """The description's name within it, with slashes."""

    @property
    def packed(self) -> bool:
        """True if it is an archive."""
        return self.root.is_file()

    @cached_property
    def digest(self) -> str:
        """sha256 of the archive."""
        return digest_of(self.root)

    def text(self) -> str:
        """The description.

        Raises:
            ModelError: it is too long, or no text.
        """
        with _opened(self, self.name) as stream:
            content = stream.read(TEXT + 1)
        if len(content) > TEXT:
            raise ModelError(f"{self.name} in {self.root} is longer than {TEXT >> 20} MB", "a description", "Check it.")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.name} in {self.root} is no text", "UTF-8", "Check the file.") from error

    def file(self, source: str, sha256: str | None = None) -> Path:
        """A file that the description names, checked; from an archive, its copy in the user's cache.

        Raises:
            ModelError: it is missing, lies elsewhere, or is another one.
        """
        name = self._inside(source)
        place = self._taken(name) if self.packed else self.root / name
        if sha256 is not None and digest_of(place) != sha256.lower():
            raise ModelError(
                f"{name} in {self.root} is not the file that the description means (its sha256 is another)",
                f"a file of sha256 {sha256[:12]}...",
                "Download the model again, or correct the description.",
            )
        return place

    def _inside(self, source: str) -> str:
        """The name of a file in the package; of an address, the file of that name beside the description."""
        url = urlsplit(source)
        remote = bool(url.scheme and url.netloc)
        name = PurePosixPath(url.path).name if remote else source
        if not remote and not is_safe(name):
            raise ModelError(
                f"the description in {self.root} names a file outside of it: {source}",
                "files beside the description",
                "Do not use this model, or correct the description.",
            )
        wanted = os.path.normpath((PurePosixPath(self.name).parent / name).as_posix()).replace(os.sep, "/")
        found = _has(self, wanted)
        if found:
            return wanted
        raise ModelError(
            f"the description in {self.root} names {source}, which is not there",
            "the files of the model beside its description",
            "Download the file and put it there." if remote else "Download the whole model again.",
        )

    def _taken(self, name: str) -> Path:
        """The copy of an archive's file in the cache, made if it is not there."""
        folder = cache_folder() / "packages" / self.digest
        try:
            return self._unpack(name, folder)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise ModelError(
                f"{name} in {self.root} cannot be unpacked into {folder} ({error})",
                "a sound zip archive, and a cache folder that can be written",
                "Download it again, or name another folder in TILEWISE_CACHE.",
            ) from error

    def _unpack(self, name: str, folder: Path) -> Path:
        place = folder / name
        with zipfile.ZipFile(self.root) as archive:
            info = archive.getinfo(name)
            if place.is_file() and place.stat().st_size == info.file_size:
                return place
            _check_size(self.root, info, folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=place.parent, suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as target, _unpacked(archive, info, self.root) as stream:
                    shutil.copyfileobj(stream, target, PIECE)
                Path(part).replace(place)
            finally:
                Path(part).unlink(missing_ok=True)
        return place


def find_package(path: Path) -> Package | None:
    """The description that a path means: a YAML file, a folder or archive that holds one; None if it means none.

    Raises:
        ModelError: a .zip archive without a description, or an archive that must not be opened.
    """
    if path.is_dir():
        return _choose(path, [p.name for p in path.iterdir() if p.is_file()])
    if path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
        return Package(path.parent, path.name)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _choose(path, _members(path)) or _refuse(path)
    # archives are called otherwise, too; but so are files of PyTorch and Keras archives
    return _choose(path, _members(path)) if path.is_file() and zipfile.is_zipfile(path) else None


def is_safe(name: str) -> bool:
    """True if a name stays within the place that it is joined to."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not set(name) & set("\\:\0")


def digest_of(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            found.update(piece)
    return found.hexdigest()


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{path} is no zip archive ({error})", "a sound zip archive", "Download it again.") from error
    wrong = next((name for name in names if not is_safe(name)), None)
    if wrong is not None:
        raise ModelError(
            f"{path} holds a file that would leave its folder: {wrong}", "names within it", "Do not use this archive."
        )
    return names


def _choose(root: Path, names: Iterable[str]) -> Package | None:
    """The description among files, if there is one: at the top, or in the only folder of an archive."""
    known = sorted(names)
    depth = min((name.count("/") for name in known if name.lower().endswith((".yaml", ".yml"))), default=0)
    top = [name for name in known if name.count("/") == depth]
    bare = {PurePosixPath(name).name.lower(): name for name in top}
    for wanted in NAMES:
        if wanted in bare:
            return Package(root, bare[wanted])
    for ending in ENDINGS:
        found = [name for low, name in bare.items() if low.endswith(ending) and "environment" not in low]
        if len(found) == 1:
            return Package(root, found[0])
    return None


def _refuse(root: Path) -> Package:
    raise ModelError(
        f"{root} holds no description of a model",
        f"an ONNX file, or {' or '.join(NAMES[:2])} with its files",
        "Unpack it, and give the .onnx file itself.",
    )


def _has(package: Package, name: str) -> bool:
    if not package.packed:
        place = package.root / name
        return place.is_file() and place.resolve().is_relative_to(package.root.resolve())
    with zipfile.ZipFile(package.root) as archive:
        return name in archive.namelist()


def _opened(package: Package, name: str) -> IO[bytes]:
    try:
        if not package.packed:
            return (package.root / name).open("rb")
        with zipfile.ZipFile(package.root) as archive:
            return _unpacked(archive, archive.getinfo(name), package.root)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{package.root} cannot be read ({error})", "a sound file", "Download it again.") from error


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, root: Path) -> IO[bytes]:
    try:
        return archive.open(info)
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{root} cannot be unpacked ({error})", "a plain zip archive", "Unpack it by hand.") from error


def _check_size(root: Path, info: zipfile.ZipInfo, folder: Path) -> None:
    """Refuse what would fill the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    bomb = info.file_size > BOMB and info.file_size > 200 * max(info.compress_size, 1)
    if bomb or info.file_size > free:
        raise ModelError(
            f"{info.filename} in {root} would unpack to {info.file_size} bytes",
            "a file that fits the disk" if not bomb else "no more than 200 times its packed size",
            "Make room, or do not use this archive.",
        )
