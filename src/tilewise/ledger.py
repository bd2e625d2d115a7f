"""What an output knows about itself: the state of each block, and what its execution cost and found.

It lies in ``OUT/tilewise``, a zarr group whose attributes are the run's record: one small array a fact, on a flat
numbering of the blocks. One process writes; others may read meanwhile and see a state that was true a moment ago.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tilewise.columns import COLUMNS, ROWS, create_column, open_column
from tilewise.errors import OutputError, StoreError
from tilewise.record import Stamp, folder_of, read_json, read_stamp, write_stamp
from tilewise.states import STATES, Counts, State, list_unready, read_failures, write_failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np

LOADED = 4
"""Chunks kept in memory between flushes."""

NAMED_FAILURES = 1000
"""Failed blocks whose cause is kept; the others are counted."""


class Ledger:
    """State and facts of each block. Marks are kept in memory until ``flush``; memory does not grow with blocks."""

    def __init__(self, path: str, blocks: int, *, writable: bool) -> None:
        self.path = path
        self.blocks = blocks
        self._arrays = {name: open_column(path, name, blocks, writable) for name in COLUMNS}
        self._loaded: dict[int, dict[str, np.ndarray]] = {}
        self._dirty: set[int] = set()
        self._failures: dict[int, str] = read_failures(path)
        self._lock = threading.RLock()
        self._counts = [0] * len(STATES)
        self._totals: dict[str, float] = dict.fromkeys(("seconds", "attempts", "nan", "inf"), 0)
        for chunk in range(-(-blocks // ROWS)):
            self._add(self._read(chunk), 1)

    @classmethod
    def create(cls, path: str, blocks: int, record: Mapping[str, Any]) -> Ledger:
        """Set a ledger up, or open it if it is there; nothing is stored for pending blocks."""
        if read_stamp(path) is None:
            write_stamp(path, Stamp(record, ()))
        for name in COLUMNS:
            if not folder_of(path).holds(f"{name}/zarr.json"):
                create_column(path, name, blocks)
        return cls(path, blocks, writable=True)

    @classmethod
    def open(cls, path: str) -> Ledger:
        """Read a ledger, also while a run goes on."""
        try:
            content = read_json(folder_of(path), "state/zarr.json")
            blocks = int(content["shape"][0])
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise OutputError(f"{path} has no ledger", "an output of tilewise", "Check the path.") from error
        return cls(path, blocks, writable=False)

    @property
    def record(self) -> Mapping[str, Any]:
        """The record of the run, as it is stored."""
        stamp = read_stamp(self.path)
        return (stamp.record if stamp is not None else None) or {}

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Failed blocks with their causes; at most the first thousand."""
        with self._lock:
            return [{"block": number, "cause": cause} for number, cause in sorted(self._failures.items())]

    def mark(
        self,
        number: int,
        state: State,
        *,
        seconds: float = 0.0,
        executions: int = 1,
        nan: int = 0,
        inf: int = 0,
        cause: str | None = None,
    ) -> None:
        """Note what became of a block; stored at the next flush.

        Args:
            number: the block.
            state: what became of it.
            seconds: what its last execution took.
            executions: how often it was begun since it was last marked.
            nan: pixels of its cores that are not a number.
            inf: infinite pixels of its cores.
            cause: why it failed.
        """
        if not 0 <= number < self.blocks:
            raise ValueError(f"block {number} of {self.blocks}")
        with self._lock:
            chunk, row = divmod(number, ROWS)
            columns = self._load(chunk)
            one = {name: column[row : row + 1] for name, column in columns.items()}
            self._add(one, -1)
            one["state"][0] = STATES.index(state)
            one["seconds"][0] = seconds
            one["attempts"][0] = min(int(one["attempts"][0]) + executions, 65535)
            one["nan"][0], one["inf"][0] = nan, inf
            self._add(one, 1)
            self._dirty.add(chunk)
            self._failures.pop(number, None)
            if state == "failed" and len(self._failures) < NAMED_FAILURES:
                self._failures[number] = cause or "unknown"

    def skip(self, idle: Callable[[np.ndarray], np.ndarray]) -> None:
        """Mark pending blocks as skipped, a stretch at a time, and store it.

        Args:
            idle: true for those of the blocks of some numbers that need no work.
        """
        import numpy as np

        for chunk, codes in enumerate(self.states()):
            rows = np.flatnonzero(np.isin(codes, list_unready()))
            rows = rows[idle(rows + chunk * ROWS)]
            if not rows.size:
                continue
            with self._lock:
                columns = self._load(chunk)
                self._add(columns, -1)
                columns["state"][rows] = STATES.index("skipped")
                self._add(columns, 1)
                self._dirty.add(chunk)
                left = set((rows + chunk * ROWS).tolist())
                self._failures = {n: why for n, why in self._failures.items() if n not in left}
            self.flush()

    def flush(self) -> None:
        """Store what was marked."""
        with self._lock:
            if self._dirty:
                write_failures(self.path, self._failures)
            for chunk in sorted(self._dirty):
                start, stop = self._rows(chunk)
                for name in COLUMNS:
                    self._arrays[name][start:stop] = self._loaded[chunk][name]
            self._dirty.clear()
            for chunk in list(self._loaded)[:-LOADED]:
                del self._loaded[chunk]

    def state(self, number: int) -> State:
        """What became of a block."""
        with self._lock:
            return STATES[int(self._load(number // ROWS)["state"][number % ROWS])]

    def states(self) -> Iterator[np.ndarray]:
        """Codes of the states, a stretch of blocks at a time, in order."""
        for chunk in range(-(-self.blocks // ROWS)):
            with self._lock:
                loaded = self._loaded.get(chunk)
                yield loaded["state"].copy() if loaded is not None else self._read_column(chunk, "state")

    def pending(self, *, failed: bool = True) -> Iterator[int]:
        """Numbers of the blocks that are still to be done, in order, listed a stretch at a time.

        Args:
            failed: with those that failed before.
        """
        import numpy as np

        for chunk, codes in enumerate(self.states()):
            yield from (int(row) + chunk * ROWS for row in np.flatnonzero(np.isin(codes, list_unready(failed=failed))))

    def counts(self) -> Counts:
        """Totals, of this moment."""
        with self._lock:
            states = dict(zip(STATES, self._counts, strict=True))
            totals = self._totals
            return Counts(
                **states,
                executions=int(totals["attempts"]),
                seconds=max(float(totals["seconds"]), 0.0),
                nan=int(totals["nan"]),
                inf=int(totals["inf"]),
            )

    def _add(self, columns: Mapping[str, np.ndarray], sign: int) -> None:
        import numpy as np

        for code, count in enumerate(np.bincount(columns["state"], minlength=len(STATES))):
            self._counts[code] += sign * int(count)
        for name in self._totals:
            exact = columns[name].astype("float64") if name == "seconds" else columns[name]
            self._totals[name] += sign * exact.sum().item()

    def _rows(self, chunk: int) -> tuple[int, int]:
        return chunk * ROWS, min((chunk + 1) * ROWS, self.blocks)

    def _load(self, chunk: int) -> dict[str, np.ndarray]:
        if chunk not in self._loaded:
            clean = [other for other in self._loaded if other not in self._dirty]
            for other in clean[: max(len(self._loaded) - LOADED + 1, 0)]:
                del self._loaded[other]
            self._loaded[chunk] = self._read(chunk)
        return self._loaded[chunk]

    def _read(self, chunk: int) -> dict[str, np.ndarray]:
        return {name: self._read_column(chunk, name) for name in COLUMNS}

    def _read_column(self, chunk: int, name: str) -> np.ndarray:
        import numpy as np

        start, stop = self._rows(chunk)
        try:
            return np.array(self._arrays[name][start:stop])
        except StoreError:
            raise
        except Exception as error:
            raise OutputError(
                f"the ledger of {self.path} cannot be read ({name}, blocks {start} to {stop}: {type(error).__name__})",
                "a ledger as tilewise wrote it",
                "Choose another output, or add --overwrite.",
            ) from error
