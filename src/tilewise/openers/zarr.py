"""Zarr 2 and 3 arrays and OME-Zarr images, on a disk or an object store."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from tilewise import ngff
from tilewise.errors import ImageError
from tilewise.openers.axes import check_level, join_names, name_axes
from tilewise.openers.distant import DistantPixels
from tilewise.openers.groups import find_only, refuse_group
from tilewise.openers.node import Node, enter, is_node, open_folder, read_node
from tilewise.openers.pixels import Pixels, open_array
from tilewise.openers.spec import ImageSpec
from tilewise.store import is_url, join, open_store, parents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.store import Store


def recognize(path: str) -> bool:
    """True if the folder is a node of a zarr hierarchy."""
    folder = open_folder(path)
    return is_node(folder)


def inspect(path: str, *, axes: str | None, level: int) -> ImageSpec:
    """Find the array that is meant and all that is known of it, without reading a pixel."""
    folder = open_folder(path)
    node = read_node(folder)
    if node.kind == "group":
        only = None if ngff.find_kind(node.attributes) == "image" else find_only(folder, node)
        if only is not None:
            return inspect(only.place, axes=axes, level=level)
        return _inspect_image(folder, node, axes=axes, level=level)
    owner = _find_owner(folder)
    if owner is not None:
        group, own_level = owner
        if level not in {0, own_level}:
            raise ImageError(
                f"--level {level} for {path}, which is level {own_level} itself",
                "one of the two",
                f"Give {group.place} with --level {level}, or leave --level out.",
            )
        return _inspect_image(group, read_node(group), axes=axes, level=own_level)
    if level != 0:
        raise ImageError(f"--level {level} for the plain array {path}", "level 0, its only one", "Leave --level out.")
    found = open_array(folder, node.zarr_format)
    names = name_axes(axes, _dimension_names(node), found.ndim, folder.place)
    return _describe(folder, "", found, node, multiscale=None, axes=names, level=0)


def open_pixels(spec: ImageSpec) -> Pixels | DistantPixels:
    """Open the array that a spec describes, and make sure that it is still the same.

    Raises:
        ImageError: the image's metadata are no longer what the spec was made from.
    """
    now = inspect(spec.path, axes=spec.axes, level=spec.level)
    if now.fingerprint != spec.fingerprint:
        raise ImageError(
            f"the metadata of {spec.path} have changed since the run was planned",
            "an image that stays as it is while it is read",
            "Run again once it is complete.",
        )
    place = open_store(join(spec.path, spec.array_path))
    blosc = spec.shards is None and spec.codecs[-1:] in {("blosc",), ("numcodecs.blosc",)}
    pixels = Pixels(place, open_array(place, spec.zarr_format), spec.shards or spec.chunks, blosc)
    return DistantPixels(pixels) if is_url(spec.path) else pixels


def _find_owner(folder: Store) -> tuple[Store, int] | None:
    """The image group that lists an array among its levels, and which one it is."""
    for group in map(open_store, parents(folder.place)[:3]):
        if not is_node(group):
            return None
        node = read_node(group)
        if node.kind == "group" and ngff.find_kind(node.attributes) == "image":
            paths = [level.path for level in ngff.read_image(node.attributes, group.place).levels]
            depth = parents(folder.place).index(group.place) + 1
            place = "/".join(PurePosixPath(folder.place.replace("\\", "/")).parts[-depth:])
            return (group, paths.index(place)) if place in paths else None
    return None


def _inspect_image(folder: Store, node: Node, *, axes: str | None, level: int) -> ImageSpec:
    if ngff.find_kind(node.attributes) != "image":
        raise refuse_group(folder, node)
    image = ngff.read_image(node.attributes, folder.place)
    check_level(level, len(image.levels), folder.place)
    array_path = image.levels[level].path
    place = enter(folder, array_path)
    inner = read_node(place)
    if inner.kind != "array":
        raise ImageError(f"level {level} of {folder.place}, {array_path}, is a group", "an array", "Mend the metadata.")
    found = open_array(place, inner.zarr_format)
    names = name_axes(axes, image.axes, found.ndim, folder.place)
    return _describe(folder, array_path, found, inner, multiscale=image, axes=names, level=level, group=node)


def _dimension_names(node: Node) -> str | None:
    """Axes that an array itself names: dimension_names in zarr 3, xarray's attribute in zarr 2."""
    names = node.metadata.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS")
    return join_names(names) if isinstance(names, list) else None


def _describe(
    folder: Store,
    array_path: str,
    found: Any,
    node: Node,
    *,
    multiscale: ngff.Multiscale | None,
    axes: str,
    level: int,
    group: Node | None = None,
) -> ImageSpec:
    ndim = found.ndim
    place = multiscale.levels[level] if multiscale is not None else None
    ome = ngff.find_ome(group.attributes)["multiscales"][0] if group is not None else None
    return ImageSpec(
        path=folder.place,
        array_path=array_path,
        axes=axes,
        shape=tuple(int(n) for n in found.shape),
        dtype=found.dtype.newbyteorder("=").name,
        chunks=tuple(int(n) for n in found.chunks),
        shards=None if found.shards is None else tuple(int(n) for n in found.shards),
        level=level,
        levels=1 if multiscale is None else len(multiscale.levels),
        scale=(1.0,) * ndim if place is None else place.scale,
        translation=(0.0,) * ndim if place is None else place.translation,
        units=(None,) * ndim if multiscale is None else multiscale.units,
        channel_names=() if multiscale is None else multiscale.channels,
        name=(multiscale.name if multiscale is not None else "") or _bare_name(folder),
        zarr_format=node.zarr_format,
        codecs=_list_codecs(node),
        fingerprint=_fingerprint(node.metadata, array_path, ome),
        notes=_note(folder, group),
    )


def _bare_name(folder: Store) -> str:
    return re.sub(r"(\.ome)?\.zarr$", "", PurePosixPath(folder.place.replace("\\", "/")).name)


def _note(folder: Store, group: Node | None) -> tuple[str, ...]:
    """That there are more images in one group than the first, which is meant by it."""
    images = ngff.find_ome(group.attributes)["multiscales"] if group is not None else ()
    if len(images) < 2:
        return ()
    names = ", ".join(str(image.get("name", "?")) if isinstance(image, Mapping) else "?" for image in images)
    return (f"{folder.place} holds {len(images)} images ({names}): the first is read; give an array of another",)


def _list_codecs(node: Node) -> tuple[str, ...]:
    if node.zarr_format == 2:
        entries = [*(node.metadata.get("filters") or ()), node.metadata.get("compressor") or {}]
        return tuple(str(entry["id"]) for entry in entries if "id" in entry)
    names: list[str] = []

    def walk(codecs: Sequence[Any]) -> None:
        for codec in codecs:
            names.append(str(codec["name"] if isinstance(codec, Mapping) else codec))
            inner = codec.get("configuration", {}) if isinstance(codec, Mapping) else {}
            walk(inner.get("codecs", ()))

    walk(node.metadata.get("codecs", ()))
    return tuple(names)


def _fingerprint(metadata: Mapping[str, Any], array_path: str, ome: object) -> str:
    """Attributes of the array are left out: notes that users add do not change a pixel."""
    content = json.dumps([metadata, array_path, ome], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
