"""One contender in a process of its own: does its work once and prints what it used, as a line of JSON.

python contender.py NAME JOB      NAME is a row of CONTENDERS, JOB a JSON object (see Job)
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from meter import Span

WARM = ("distributed", "dask.array", "dask.array.overlap", "zarr", "zarr.codecs", "numcodecs.zstd", "onnxruntime")
"""What the careful user's work imports, distributed for to_zarr: tilewise has it when its clock starts."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all contenders are given."""

    image: str
    """A zarr array: c y x, or z y x."""
    model: str
    """An ONNX file."""
    out: str
    """Where the labels go."""
    reference: str
    """Labels as a .npy file, and beside it the tilewise output that they came from."""
    tile: int
    """Pixels a side."""
    halo: int
    """Context on each side."""
    ndim: int
    """Axes that the model sees."""
    cores: int
    """Processors to use."""
    gather: int = 1
    """Cores a side of a chunk, for the careful user."""
    workers: int = 0
    """Subprocesses, for tilewise; 0 is one worker inside the process."""


def loop(job: Job, *, pool: int, intra: int) -> dict[str, float]:
    """session.run over tiles that lie in memory: the limit."""
    import onnxruntime as ort
    import zarr

    pixels = zarr.open_array(job.image, mode="r")[:]
    pixels = pixels if pixels.ndim > job.ndim else pixels[np.newaxis]
    starts = [_starts(n, job.tile, job.halo) for n in pixels.shape[1:]]
    tiles = [
        np.ascontiguousarray(pixels[(slice(None), *(slice(a, a + job.tile) for a in start))], np.float32)[np.newaxis]
        for start in itertools.product(*starts)
    ]
    del pixels
    options = ort.SessionOptions()
    options.intra_op_num_threads = intra
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(job.model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"image": tiles[0]})
    span = Span()
    with ThreadPoolExecutor(pool) as threads:
        for _ in threads.map(lambda tile: session.run(None, {"image": tile})[0].shape, tiles):
            pass
    return {**span.end(), "tiles": len(tiles)}


def _starts(size: int, tile: int, halo: int) -> list[int]:
    """Where tiles start: on the grid of cores, slid inside the image; each once."""
    core = tile - 2 * halo
    return list(dict.fromkeys(min(max(k - halo, 0), max(size - tile, 0)) for k in range(0, size, core)))


def copy(job: Job) -> dict[str, float]:
    """Read the image and write the labels, by zarr-python alone, in the shards and codecs of tilewise's output."""
    import zarr
    from zarr.codecs import ZstdCodec

    source = zarr.open_array(job.image, mode="r")
    made = zarr.open_array(f"{job.reference}.zarr/0", mode="r")
    labels = np.load(f"{job.reference}.npy")
    target = zarr.create_array(
        job.out,
        shape=made.shape,
        dtype=made.dtype,
        chunks=made.chunks,
        shards=made.shards,
        compressors=ZstdCodec(level=3, checksum=True),
    )

    def move(start: tuple[int, ...]) -> None:
        part = tuple(slice(a, a + n) for a, n in zip(start, made.shards, strict=True))
        source[(Ellipsis, *part)]
        target[part] = labels[part]

    starts = itertools.product(*(range(0, n, s) for n, s in zip(made.shape, made.shards, strict=True)))
    span = Span()
    with ThreadPoolExecutor(job.cores) as threads:
        for _ in threads.map(move, starts):
            pass
    return span.end()


def careful_threads(job: Job) -> dict[str, float]:
    """map_overlap on the threads scheduler."""
    import dask

    _warm(job.model)
    with dask.config.set(scheduler="threads", num_workers=job.cores):
        return _careful(job)


def careful_cluster(job: Job) -> dict[str, float]:
    """map_overlap on a LocalCluster: a process a core, one thread each."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=job.cores, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(_warm, job.model)
        _warm(job.model)
        return _careful(job)


def _warm(model: str) -> None:
    """Import and open what the first task would, before the clock starts; by name, so that no tool tidies it away."""
    import careful

    for module in WARM:
        importlib.import_module(module)
    careful.open_session(model)


def _careful(job: Job) -> dict[str, float]:
    import careful

    span = Span()
    lazy = careful.lay_out(job.image, model=job.model, tile=job.tile, halo=job.halo, gather=job.gather, ndim=job.ndim)
    careful.store(lazy, job.out, job.tile - 2 * job.halo)
    return span.end()


def tilewise(job: Job) -> dict[str, float]:
    """tilewise.run; the clock runs while blocks are computed, and once more around the whole call."""
    from tilewise import Cut, Machine, Results, run
    from tilewise.events import Ended, Started

    spans: dict[str, Span] = {}
    used: dict[str, float] = {}

    def observe(event: object) -> None:
        if isinstance(event, Started) and event.phase == "blocks":
            spans["blocks"] = Span()
        if isinstance(event, Ended) and event.phase == "blocks":
            used.update(spans["blocks"].end())

    whole = Span()
    run(
        job.image,
        job.model,
        job.out,
        cut=Cut(tile=job.tile, halo=job.halo),
        # one level, as all others write
        results=Results(output="labels", levels=1),
        machine=Machine(device="cpu", workers=job.workers or "auto"),
        observers=(observe,),
    )
    ended = whole.end()
    return {**used, "call_wall": ended["wall"], "call_cpu": ended["cpu"]}


CONTENDERS = {
    "loop 1 x n": lambda job: loop(job, pool=job.cores, intra=1),
    "loop n x 1": lambda job: loop(job, pool=1, intra=job.cores),
    "copy": copy,
    "careful threads": careful_threads,
    "careful cluster": careful_cluster,
    "tilewise": tilewise,
}
"""A contender a row."""

if __name__ == "__main__":
    print(json.dumps(CONTENDERS[sys.argv[1]](Job(**json.loads(sys.argv[2])))))
