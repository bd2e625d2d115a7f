"""Peak memory of a worker as a formula of named terms, independent of the size of the image."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilewise.store import is_url

BASE = 360_000_000
"""Bytes of a worker that has imported everything and opened an empty session (benchmarks/memory.py)."""

ACTIVATION_SLACK = 1.5
"""onnxruntime's own copies (blocked layouts, im2col) beside the live tensors of the graph."""

SHRINK = 6.5
"""Shards at once while one of a coarser level is made: encoded, decoded, padded, as sums, the result, and what the
heap keeps of them (benchmarks/pyramid.py). Blocks that ``auto`` chooses leave room for it."""


TRANSIT = 60_000_000
"""Bytes of a write that are on their way to an object store beside it: twelve parts of 5 MB at once."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one worker needs at its worst moment, in bytes."""

    base: int
    """The interpreter, the libraries, the session and the weights."""
    read: int
    """One block's pixels with halo, and the chunks that they are decoded from."""
    tiles: int
    """One batch of tiles within the model."""
    write: int
    """One block's result, and its encoded form."""
    shrink: int
    """One shard of a coarser level while it is made: instead of a block, never beside one."""
    threads: int
    """Blocks at once."""

    @property
    def total(self) -> int:
        """The bound that ``plan`` prints."""
        return self.base + self.threads * max(self.read + self.tiles + self.write, self.shrink)


def tile_bytes(*, pixels: int, batch: int, in_channels: int, out_channels: float, activation_bytes: float) -> int:
    """One batch within the model: as float64 while normalized, as the model's type twice, activations, results."""
    per_pixel = in_channels * (8 + 4 + 4) + activation_bytes * ACTIVATION_SLACK + out_channels * 3 * 4
    return int(batch * pixels * per_pixel)


def base_memory(weights: int) -> int:
    """A worker with the model open; onnxruntime keeps packed copies of weights."""
    return BASE + 3 * weights


def worker_memory(*, weights: int, read_bytes: int, held: int = 0, tile: int, write_bytes: int, threads: int) -> Memory:
    """The bound for a worker.

    Args:
        weights: bytes of the model's weights; onnxruntime keeps a packed copy.
        read_bytes: bytes of the largest block with halo, rounded out to the source's chunks.
        held: bytes that reading takes beside the pixels asked for.
        tile: what ``tile_bytes`` gives.
        write_bytes: bytes of a block's result.
        threads: blocks at once.
    """
    return Memory(
        base=base_memory(weights),
        read=2 * read_bytes + held,
        tiles=tile,
        write=2 * write_bytes,
        shrink=int(SHRINK * write_bytes),
        threads=threads,
    )


def add_transit(memory: Memory, place: str) -> Memory:
    """The bound for results at a place. Over a network a read holds what one from a disk does, but a write more."""
    if not is_url(place):
        return memory
    return replace(memory, write=memory.write + min(TRANSIT, memory.write))


def show_bytes(count: float) -> str:
    """Bytes for reading: 1.5 GB, 640 MB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
