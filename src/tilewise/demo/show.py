"""The demo: make an image, run a model over it, hold the result against the truth and an untiled run, draw it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilewise.demo.field import PIXEL, Field
from tilewise.errors import SettingError, StoppedError
from tilewise.geometry import Box
from tilewise.settings import Cut, Machine, Normalization, Pixels, Results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.demo.check import Agreement, Pair
    from tilewise.events import Observer
    from tilewise.geometry import Blocks, Grid

MODEL = Path(__file__).with_name("cells.onnx")
"""The small U-Net that ``tilewise.demo.train`` trained."""
SIZE = 8192
"""Pixels a side, unless asked otherwise."""
REGION = 1024
"""Pixels a side of the regions that are run untiled."""
SMALL = 1024
"""The picture's overview is made of about so many pixels a side."""

CUT = Cut(tile=512)
"""Small enough that the picture can show where tiles meet."""
PIXELS = Pixels(normalization=Normalization(kind="standardize"))
"""As the network was trained."""
RESULTS = Results(activation="sigmoid")
"""The network gives logits."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demo did."""

    image: Path
    """The generated image, an OME-Zarr."""
    model: Path
    """The network."""
    result: Path
    """Its scores, an OME-Zarr."""
    preview: Path
    """The picture."""
    shape: tuple[int, ...]
    """Of the image."""
    tiles: int
    """How many the image was cut into."""
    tile: tuple[int, ...]
    """What the model saw in one go."""
    halo: tuple[int, ...]
    """Context on each side."""
    dice: float
    """Agreement with the truth, 1 is perfect."""
    difference: float
    """Largest difference of the regions to untiled runs."""
    compared: int
    """Pixels that were held against untiled runs."""
    seconds: dict[str, float]
    """Wall time by step."""

    def __repr__(self) -> str:
        height, width = self.shape
        times = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        return "\n".join(
            [
                f"image     {self.image}: {height} x {width} pixels of generated tissue",
                f"result    {self.result}: scores of nuclei, by {self.tiles:,} tiles of {self.tile[0]}",
                f"preview   {self.preview}",
                f"truth     Dice {self.dice:.4f} (1 is perfect)",
                f"untiled   largest difference {self.difference:g} over {self.compared:,} pixels",
                f"seconds   {times}; {sum(self.seconds.values()):.1f} in all",
                "next      tilewise inspect " + str(self.model),
                f"          tilewise status {self.result}",
            ]
        )


def demo(
    folder: str | Path = "tilewise-demo",
    *,
    size: int = SIZE,
    seed: int = 0,
    machine: Machine = Machine(),
    quiet: bool = False,
) -> Shown:
    """Run the demo in a folder, with progress on standard error and a summary on standard output.

    The same call again goes on where it was stopped, and repeats the checks.

    Args:
        folder: where everything goes.
        size: pixels a side of the image.
        seed: which field; the network has learned from 1000 to 1023.
        machine: where it runs.
        quiet: print only the summary and what went wrong.
    """
    from tilewise.display import watch

    shown = perform(Path(folder), size=size, seed=seed, machine=machine, observers=(watch(quiet=quiet),))
    print(shown)
    return shown


def perform(folder: Path, *, size: int, seed: int, machine: Machine, observers: tuple[Observer, ...] = ()) -> Shown:
    """All of the demo, without a word.

    Raises:
        TilewiseError: the folder holds something else, or the runtime is missing.
        StoppedError: a block failed.
    """
    from tilewise.demo.check import Pair, agree, differ
    from tilewise.demo.image import write_image
    from tilewise.engine import run
    from tilewise.model import Model
    from tilewise.planning import plan

    if size < 1:
        raise SettingError(f"a demo image of {size} pixels", "at least 1 pixel a side", "Give a larger size.")
    pair, field = Pair(folder / "image.ome.zarr", folder / "nuclei.ome.zarr"), Field(seed)
    seconds: dict[str, float] = {}
    with _timed(seconds, "image"):
        write_image(pair.image, field, size, observers=observers)
    with _timed(seconds, "run"):
        model = Model(MODEL)
        ended = run(
            pair.image,
            model,
            pair.result,
            cut=CUT,
            pixels=PIXELS,
            results=RESULTS,
            machine=machine,
            observers=observers,
        )
    if ended.state != "done":
        raise StoppedError(repr(ended))
    with _timed(seconds, "check"):
        made = plan(pair.image, model, cut=CUT, pixels=PIXELS, results=RESULTS, machine=machine)
        agreement = agree(pair, field, step=max(1, size // SMALL), observers=observers)
        regions = _regions(made.grid)
        difference = max(
            differ(pair, box, MODEL, normalization=PIXELS.normalization, results=RESULTS) for box in regions
        )
    shown = Shown(
        image=pair.image,
        model=MODEL,
        result=pair.result,
        preview=folder / "preview.png",
        shape=pair.shape,
        tiles=made.grid.tiles,
        tile=made.tile,
        halo=made.halo,
        dice=agreement.dice,
        difference=difference,
        compared=sum(box.size for box in regions),
        seconds=seconds,
    )
    with _timed(seconds, "picture"):
        _draw(shown, pair, agreement, made.blocks)
    return shown


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[step] = time.monotonic() - begin


def _regions(grid: Grid) -> list[Box]:
    """What is run untiled: the first and the last corner of the image, and a square around where cores meet inside."""
    size = tuple(min(REGION, n) for n in grid.shape)
    middle = grid.core(tuple(n // 2 for n in grid.counts)).start
    starts = (
        tuple(0 for _ in size),
        tuple(min(max(c - n // 2, 0), m - n) for c, n, m in zip(middle, size, grid.shape, strict=True)),
        tuple(m - n for n, m in zip(size, grid.shape, strict=True)),
    )
    return [Box(start, tuple(a + n for a, n in zip(start, size, strict=True))) for start in dict.fromkeys(starts)]


def _draw(shown: Shown, pair: Pair, agreement: Agreement, blocks: Blocks) -> None:
    from tilewise.demo.picture import View, choose_corner, draw, surround

    grid, step = blocks.grid, max(1, shown.shape[0] // SMALL)
    edges = tuple(tuple(range(0, axis.size, axis.step)) for axis in grid.axes)
    starts = tuple(each[::m] for each, m in zip(edges, blocks.cores, strict=True))
    core = choose_corner(agreement.found, step, edges)
    box = surround(shown.shape, grid.core(core).start)
    sizes, halo = " x ".join(map(str, shown.shape)), shown.halo[0]
    view = View(
        shape=shown.shape,
        whole=agreement.whole,
        found=agreement.found,
        box=box,
        pixels=pair.pixels(box),
        scores=pair.scores(box),
        edges=edges,
        blocks=starts,
        core=grid.core(core),
        window=grid.window(core),
        micrometres=PIXEL,
        title="tilewise demo",
        facts=f"{sizes} pixels in {shown.tiles:,} tiles of {shown.tile[0]}, halo {halo}  \u00b7  "
        f"Dice {shown.dice:.3f} against the truth  \u00b7  "
        f"largest difference to an untiled run: {shown.difference:g}",
    )
    draw(view).save(shown.preview)
