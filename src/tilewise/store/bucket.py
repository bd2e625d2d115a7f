"""A folder of an object store, reached through obstore."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewise.errors import OutputError
from tilewise.store.address import Address, check_key
from tilewise.store.client import connect
from tilewise.store.faults import name_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilewise.store.verbs import Kind

TOGETHER = 1000
"""Objects removed in one request."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Tells one state of an object from every other."""

    e_tag: str | None
    """What most stores tell them apart by."""
    version: str | None
    """What the others use."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What lies below an address. Folders are names in front of slashes: they come and go with their objects."""

    address: Address
    """Where."""

    @property
    def place(self) -> str:
        """The folder's URL."""
        return str(self.address)

    def below(self, key: str) -> Bucket:
        """A folder further down."""
        return Bucket(Address(self.address.scheme, self.address.host, self._key(key)))

    def kind(self) -> Kind:
        """What stands at the place itself; a server does not tell."""
        import obstore

        if self.address.kind == "http":
            return "folder"
        with self._told():
            if any(obstore.list(self._client, self.address.key or None, chunk_size=1)):
                return "folder"
        return "other" if self.address.key and self.size("") is not None else "nothing"

    def linked(self, key: str) -> bool:  # noqa: ARG002  there are no links
        """Never."""
        return False

    def read(self, key: str) -> bytes | None:
        """All bytes of an object; None if there is none."""
        found = self.read_marked(key)
        return found[0] if found is not None else None

    def read_marked(self, key: str) -> tuple[bytes, Mark] | None:
        """All bytes of an object, and what tells this state of it from the next; None if there is none."""
        import obstore

        with self._told(key):
            try:
                found = obstore.get(self._client, self._key(key))
                return found.bytes().to_bytes(), Mark(found.meta["e_tag"], found.meta["version"])
            except FileNotFoundError:
                return None

    def peek(self, key: str, count: int) -> tuple[bytes, int] | None:
        """The first bytes of an object, and how many it has in all; None if there is none."""
        import obstore
        from obstore.exceptions import BaseError

        with self._told(key):
            try:
                found = obstore.get(self._client, self._key(key), options={"range": (0, count)})
                return found.bytes().to_bytes(), found.meta["size"]
            except FileNotFoundError:
                return None
            except BaseError:
                # of an object without bytes there is no first part
                if self.size(key) == 0:
                    return b"", 0
                raise

    def size(self, key: str) -> int | None:
        """How many bytes an object has; None if there is none."""
        import obstore

        with self._told(key):
            try:
                return obstore.head(self._client, self._key(key))["size"]
            except FileNotFoundError:
                return None

    def holds(self, *keys: str) -> bool:
        """True if at least one of some objects is there and may be seen, asked for all at once."""
        import obstore
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        def seen(key: str) -> bool:
            with self._told(key):
                try:
                    obstore.head(self._client, self._key(key))
                # who may not list a bucket is not told what is missing there
                except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
                    return False
            return True

        with ThreadPoolExecutor(len(keys)) as pool:
            return any(list(pool.map(seen, keys)))

    def names(self, key: str = "") -> list[str]:
        """What lies directly below, sorted; a server does not tell."""
        import obstore

        if self.address.kind == "http":
            return []
        folder = self._key(key)
        with self._told(key):
            found = obstore.list_with_delimiter(self._client, folder or None)
        paths = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return sorted({path[len(folder) :].strip("/") for path in paths} - {""})

    def write(self, key: str, content: bytes) -> None:
        """Put an object there as a whole."""
        import obstore

        with self._told(key):
            obstore.put(self._client, self._key(key), content)

    def create(self, key: str, content: bytes) -> Mark | None:
        """Put an object there if there is none, decided by the store; None if there is one."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with contextlib.suppress(AlreadyExistsError, PreconditionError):
            return self._put(key, content, "create")
        return None

    def replace(self, key: str, content: bytes, mark: Mark) -> Mark | None:
        """Put another object there if it still is in a certain state, decided by the store; None if it is not."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with contextlib.suppress(AlreadyExistsError, PreconditionError, FileNotFoundError):
            known = {"e_tag": mark.e_tag, "version": mark.version}
            return self._put(key, content, {name: value for name, value in known.items() if value is not None})
        return None

    def remove(self, key: str) -> None:
        """Remove an object, and all below it."""
        import obstore

        with self._told(key):
            for entries in obstore.list(self._client, self._key(key), chunk_size=TOGETHER):
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._client, [entry["path"] for entry in entries])
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._client, self._key(key))

    def sweep(self) -> int:
        """Nothing: an object appears as a whole or not at all."""
        return 0

    def check_writable(self) -> None:
        """Refuse a server that only gives; whether a bucket takes is known when the first object is put there."""
        if self.address.kind == "http":
            raise OutputError(
                f"output {self.place}, on a web server, which takes nothing",
                "a path on this machine, or s3://, gs:// or az://",
                "Write there, and copy the result.",
            )

    def nodes(self, key: str = "", *, writable: bool = False) -> Any:
        """The folder as zarr takes it."""
        from tilewise.store.watch import watch

        return watch(self._client, self.below(key).address, writable=writable)

    @property
    def _client(self) -> Any:
        return connect(self.address)

    def _key(self, key: str) -> str:
        if not key:
            return self.address.key
        return f"{self.address.key}/{check_key(key, self.place)}".lstrip("/")

    def _put(self, key: str, content: bytes, mode: Any) -> Mark:
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        try:
            found = obstore.put(self._client, self._key(key), content, mode=mode)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError):
            raise
        except (BaseError, OSError) as error:
            raise name_fault(error, f"{self.place}/{key}", self.address.kind) from error
        return Mark(found["e_tag"], found["version"])

    @contextlib.contextmanager
    def _told(self, key: str = "") -> Iterator[None]:
        """Name what goes wrong."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            place = f"{self.place}/{key}" if key else self.place
            raise name_fault(error, place, self.address.kind) from error
