"""Packages: what is installed, and the codecs that images come in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, version

import numpy as np

from tilewise.doctor.finding import Finding

NEEDED = ("tilewise", "dask", "distributed", "zarr", "numpy", "onnx", "xarray")
"""Whose versions matter when something is odd."""


def examine_packages() -> list[Finding]:
    """Versions, extras and codecs."""
    versions = ", ".join(f"{name} {version(name)}" for name in NEEDED)
    return [Finding("packages", "good", versions), *_extras(), *(_codec(name) for name in CODECS)]


def _extras() -> list[Finding]:
    """Optional readers and converters, as the package itself lists them."""
    wanted: dict[str, list[str]] = {}
    for line in metadata("tilewise").get_all("Requires-Dist") or ():
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip().strip("'\"")
        if extra and extra not in {"cpu", "gpu", "test"}:
            wanted.setdefault(extra, []).append(_name(requirement))
    found = []
    for extra, names in sorted(wanted.items()):
        lacking = [name for name in names if not _installed(name)]
        if lacking:
            found.append(
                Finding(f"extra {extra}", "absent", f"without {', '.join(lacking)}", f"pip install 'tilewise[{extra}]'")
            )
        else:
            found.append(Finding(f"extra {extra}", "good", ", ".join(f"{name} {version(name)}" for name in names)))
    return found


def _name(requirement: str) -> str:
    for mark in "[<>=!~ (":
        requirement = requirement.partition(mark)[0]
    return requirement.strip()


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


CODECS = ("zstd", "blosc", "gzip", "sharding")
"""What images of any common writer are packed with."""


def _codec(name: str) -> Finding:
    """Pack and unpack some pixels in memory."""
    try:
        pixels = np.arange(64, dtype="uint16").reshape(8, 8)
        same = bool(np.array_equal(_packed(name, pixels), pixels))
    except Exception as error:
        same, cause = False, f"{type(error).__name__}: {error}".splitlines()[0][:120]
    else:
        cause = "it does not give back what it was given"
    if same:
        return Finding(f"codec {name}", "good", "packs and unpacks")
    return Finding(f"codec {name}", "bad", cause, "Run: pip install --force-reinstall zarr numcodecs")


def _packed(name: str, pixels: np.ndarray) -> np.ndarray:
    import zarr
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec
    from zarr.storage import MemoryStore

    packers = {"zstd": ZstdCodec(), "blosc": BloscCodec(), "gzip": GzipCodec(), "sharding": ZstdCodec()}
    array = zarr.create_array(
        MemoryStore(),
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=(4, 4),
        shards=(8, 8) if name == "sharding" else None,
        compressors=packers[name],
    )
    array[:] = pixels
    return np.asarray(array[:])
