"""An object store as zarr takes it: rooted at a folder, failures in our words, and a look at what a read finds."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from zarr.abc.store import Store
from zarr.storage import ObjectStore

from tilewise.store.faults import name_fault
from tilewise.store.look import LOOK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tilewise.store.address import Address


class Watched(Store):  # type: ignore[misc]
    """zarr's own store over obstore, below a folder: what zarr does at its root never meets the rest of the bucket."""

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, store: Any, address: Address) -> None:
        super().__init__(read_only=store.read_only)
        self._store = store
        self.address = address
        self._front = f"{address.key}/" if address.key else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watched) and self.address == other.address and self._store == other._store

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return str(self.address)

    def with_read_only(self, read_only: bool = False) -> Watched:
        """The same folder, to be read only or to be written."""
        return Watched(self._store.with_read_only(read_only), self.address)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes of an object, or of a part; None if there is none."""
        with self._told(key):
            found = await self._store.get(self._front + key, prototype, byte_range)
        look = LOOK.get()
        if look is not None:
            look(key, found, byte_range is None)
        return found

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        """Parts of objects."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """True if there is such an object."""
        with self._told(key):
            return bool(await self._store.exists(self._front + key))

    async def set(self, key: str, value: Any) -> None:
        """Put an object there."""
        with self._told(key):
            await self._store.set(self._front + key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        """Put an object there if there is none."""
        with self._told(key):
            await self._store.set_if_not_exists(self._front + key, value)

    async def delete(self, key: str) -> None:
        """Remove an object: zarr does where all pixels are the fill value."""
        with self._told(key):
            await self._store.delete(self._front + key)

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin so."""
        with self._told(prefix):
            async for key in self._store.list_prefix(self._front + prefix):
                yield key.removeprefix(self._front)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below."""
        with self._told(prefix):
            async for name in self._store.list_dir((self._front + prefix).rstrip("/")):
                yield name

    @contextlib.contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Name what goes wrong."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise name_fault(error, f"{self.address}/{key}", self.address.kind) from error


def watch(client: Any, address: Address, *, writable: bool) -> Watched:
    """A folder of a bucket as zarr takes it."""
    return Watched(ObjectStore(client, read_only=not writable), address)
