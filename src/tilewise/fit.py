"""Whether image, model and settings fit each other; a refusal says which does not and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import ImageError, SettingError
from tilewise.memory import show_bytes
from tilewise.normalize import check_numbers, check_types
from tilewise.postprocess import check_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilewise.crew import Crew
    from tilewise.geometry import AnyAxis
    from tilewise.memory import Memory
    from tilewise.model import ModelSpec
    from tilewise.openers.spec import ImageSpec
    from tilewise.settings import Asked, Cut, Machine, Pixels, Results


def check_reach(image: ImageSpec, machine: Machine, crew: Crew) -> None:
    """Refuse workers that cannot see the image: an array lives in one process."""
    if image.opener == "array" and (machine.scheduler is not None or crew.workers):
        how = "--scheduler" if machine.scheduler is not None else f"--workers {crew.workers}"
        raise SettingError(
            f"{how} for an array in memory",
            "workers inside this process",
            "Leave it out, save the array as zarr, or use tilewise.predict, which lets Dask move the pixels.",
        )


def check_settings(image: ImageSpec, model: ModelSpec, asked: Asked, channels: int) -> None:
    """Refuse a normalization or results that image and model cannot have."""
    check_types(image.dtype, model.dtype, asked.pixels.normalization)
    check_numbers(asked.pixels.normalization, channels)
    for port in model.written:
        check_results(asked.results, port.out_channels, port.name if len(model.written) > 1 else None)


def check_turns(model: ModelSpec, results: Results, axes: Sequence[AnyAxis]) -> None:
    """Refuse flips and turns after which a tile would be another one."""
    if not results.turned:
        return
    spatial = "zyx"[-model.spatial_ndim :]
    beyond = [letter for letter in results.flip if letter not in spatial]
    if beyond:
        raise SettingError(
            f"--flip {results.flip} with a {model.spatial_ndim}-D model", f"some of {spatial}", "Leave the others out."
        )
    if results.output == "raw" and any(port.dtype[:1] in "iub" for port in model.written):
        raise SettingError(
            "--flip or --rotate with raw integers", "numbers that have a mean", "Leave --output raw out, or the flips."
        )
    if results.flip and model.lead != model.trail:
        raise SettingError(
            f"--flip with a model that loses {list(model.lead)} pixels in front and {list(model.trail)} behind",
            "a model that is the same from both ends",
            "Leave --flip out.",
        )
    y, x = (axis.tile for axis in axes[-2:])
    if results.rotate and (y != x or model.multiple[-1] != model.multiple[-2] or model.scale[-1] != model.scale[-2]):
        raise SettingError(f"--rotate with tiles of {y} x {x}", "square tiles in y x", f"Use --tile {max(y, x)}.")


def match_axes(image: ImageSpec, model: ModelSpec) -> str:
    """The axes that the model sees: yx or zyx."""
    spatial = "zyx"[-model.spatial_ndim :]
    absent = [a for a in spatial if a not in image.axes]
    if absent:
        raise ImageError(
            f"an image of axes {image.axes} for a {model.spatial_ndim}-D model",
            f"an image with {', '.join(spatial)}",
            "Name the axes with --axes, or use a model of fewer dimensions.",
        )
    return spatial


def match_channels(image: ImageSpec, model: ModelSpec, pixels: Pixels) -> tuple[int, ...]:
    """The channels of the image that the model takes, in its order."""
    chosen = tuple(range(image.channels)) if pixels.channels == "all" else pixels.channels
    wrong = [c for c in chosen if not 0 <= c < image.channels]
    if wrong:
        raise SettingError(
            f"--channels {','.join(map(str, chosen))}",
            f"numbers from 0 to {image.channels - 1} (the image has {image.channels})",
            "Choose channels that the image has.",
        )
    planes = match_planes(image, model, pixels)
    if len(chosen) * planes != model.in_channels:
        fitting = _fitting(image, model, len(chosen)) if planes == 1 else None
        if fitting is not None:
            raise SettingError(
                f"{len(chosen)} channel{'s' * (len(chosen) != 1)} of the image",
                f"{model.in_channels}, which the model takes ({model.layout})",
                f"If it takes neighbouring planes as channels, add --neighbours {fitting}; else choose --channels.",
            )
        if planes > 1:
            raise SettingError(
                f"{len(chosen)} channels of each of {planes} planes",
                f"{model.in_channels} in all, which the model takes ({model.layout})",
                "Choose other --channels or --neighbours.",
            )
        example = ",".join(map(str, range(model.in_channels)))
        raise SettingError(
            f"{len(chosen)} channel{'s' * (len(chosen) != 1)} of the image",
            f"{model.in_channels}, which the model takes ({model.layout})",
            f"Choose them with --channels, for example --channels {example}."
            if image.channels >= model.in_channels
            else "Use an image with as many channels, or name its axes with --axes.",
        )
    return chosen


def match_planes(image: ImageSpec, model: ModelSpec, pixels: Pixels) -> int:
    """How many planes the model sees as channels: its own and its neighbours."""
    if pixels.neighbours is None:
        return 1
    axis, planes = pixels.neighbours
    if axis not in image.axes or axis in "zyx"[-model.spatial_ndim :]:
        seen = "which the model sees whole" if axis in image.axes else f"of an image of axes {image.axes}"
        raise SettingError(
            f"--neighbours along {axis}, {seen}",
            "an axis of the image that the model does not see",
            "Leave --neighbours out, or name the axes with --axes.",
        )
    return 2 * planes + 1


def _fitting(image: ImageSpec, model: ModelSpec, channels: int) -> str | None:
    """The neighbours with which the channels would fit, as they are typed."""
    planes, left = divmod(model.in_channels, channels)
    lengths = dict(zip(image.axes, image.shape, strict=True))
    for axis in "zt":
        if not left and planes > 1 and planes % 2 and axis not in "zyx"[-model.spatial_ndim :] and axis in lengths:
            return f"{axis}:{planes // 2}"
    return None


def match_batch(model: ModelSpec, cut: Cut) -> int:
    """Tiles in one call."""
    if model.fixed_batch is not None:
        if cut.batch not in {"auto", model.fixed_batch}:
            raise SettingError(
                f"--batch {cut.batch}", f"the model's own batch of {model.fixed_batch}", "Leave --batch out."
            )
        return model.fixed_batch
    return 1 if cut.batch == "auto" else cut.batch


def check_memory(memory: Memory, crew: Crew, cut: Cut) -> None:
    """Refuse a plan that does not fit into a worker, naming the option that helps."""
    if memory.total <= crew.memory:
        return
    if memory.base > crew.memory:
        raise SettingError(
            f"a worker needs {show_bytes(memory.base)} for itself alone, before a pixel is read",
            f"at most {show_bytes(crew.memory)}",
            "Use more --memory" + (", or fewer --workers." if crew.workers > 1 else "."),
        )
    if memory.tiles * memory.threads > memory.total // 2:
        help_ = "a smaller --tile" if cut.tile != "auto" else "a smaller --tile or --halo"
    else:
        help_ = "a smaller --block"
    raise SettingError(
        f"a worker would need {show_bytes(memory.total)} ({show_bytes(memory.base)} for itself, and for each of "
        f"{memory.threads} blocks at once {show_bytes(memory.tiles)} in the model, {show_bytes(memory.read)} to read, "
        f"{show_bytes(memory.write)} to write)",
        f"at most {show_bytes(crew.memory)}",
        f"Use {help_}, fewer --threads, or more --memory.",
    )
