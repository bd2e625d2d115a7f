"""Addresses of places: paths of this machine, and URLs of object stores; joined and compared without reading."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from tilewise.errors import StoreError

Relation = Literal["is", "lies inside", "holds"]
"""How one place stands to another; none of them is None."""

KINDS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "http": "http",
    "https": "http",
}
"""Schemes of URLs that are understood, and the kind of store behind each."""


@dataclass(frozen=True, slots=True)
class Address:
    """A place on an object store."""

    scheme: str
    """s3, gs, az, abfs, http or https."""
    host: str
    """The bucket or container, or the server with its port."""
    key: str
    """Names with slashes between, none in front or behind; empty for the whole bucket."""

    @property
    def kind(self) -> str:
        """s3, gs, az or http: which library code reaches it."""
        return KINDS[self.scheme]

    @property
    def root(self) -> str:
        """The bucket, or the server."""
        return f"{self.scheme}://{self.host}"

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root


def is_url(place: str) -> bool:
    """True for an address on an object store or a server; a ``file://`` address means a path of this machine."""
    return "://" in place and not place.lower().startswith("file:")


def parse(place: str) -> Address:
    """Take a URL apart.

    Raises:
        StoreError: it is of a kind that is not known, or its path is none that a store could hold.
    """
    scheme, _, rest = place.partition("://")
    scheme = {"s3a": "s3", "abfss": "abfs"}.get(scheme.lower(), scheme.lower())
    if scheme not in KINDS:
        raise StoreError(
            f"{place}, on a store of kind {scheme}",
            "a path on this machine, or s3://, gs://, az:// or https://",
            "Copy or mount it, and give the path.",
        )
    host, _, key = rest.partition("/")
    if KINDS[scheme] == "http":
        if "?" in rest or "#" in rest:
            raise StoreError(
                f"{place.partition('?')[0]} with a query behind it",
                "the address of a folder",
                "Signed addresses reach one object only: give the plain address, or use s3://.",
            )
        key = unquote(urlsplit(place).path).lstrip("/")
    key = key.rstrip("/")
    if not host:
        raise StoreError(f"{place} names no bucket", f"{scheme}://BUCKET/NAME", "Check the address.")
    if key:
        check_key(key, place)
    return Address(scheme, host, key)


def check_key(key: str, place: str) -> str:
    """The key itself; refuses one that could leave its folder, or that no store could hold."""
    names = key.split("/")
    odd = r"[\x00-\x1f\x7f]" if is_url(place) else r"\x00"
    if any(name in {"", ".", ".."} or re.search(odd, name) for name in names):
        raise StoreError(
            f"the name {key!r} below {place}", "names without '.', '..' or nothing between slashes", "Check the path."
        )
    return key


def local(place: str) -> Path:
    """The path of this machine that a place means."""
    if place.lower().startswith("file:"):
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(place).path))
    return Path(place)


def absolute(place: str) -> str:
    """A place that means the same in another process: workers may stand elsewhere. Links stay as they are."""
    return str(parse(place)) if is_url(place) else os.path.abspath(local(place))  # noqa: PTH100


def join(place: str, key: str) -> str:
    """A place below another."""
    if not key:
        return place
    if is_url(place):
        return f"{place}/{check_key(key, place)}"
    return str(local(place) / check_key(key, place))


def parents(place: str) -> list[str]:
    """The folders around a place, the nearest first, up to the bucket or the root of the disk."""
    if not is_url(place):
        return [str(parent) for parent in local(place).parents]
    address = parse(place)
    names = address.key.split("/") if address.key else []
    return [str(Address(address.scheme, address.host, "/".join(names[:n]))) for n in range(len(names) - 1, -1, -1)]


def relate(place: str, other: str) -> Relation | None:
    """How one place stands to another; links are followed."""
    if is_url(place) != is_url(other):
        return None
    a, b = _names(place), _names(other)
    if a == b:
        return "is"
    if a[: len(b)] == b:
        return "lies inside"
    return "holds" if b[: len(a)] == a else None


def _names(place: str) -> tuple[str, ...]:
    if not is_url(place):
        return local(place).resolve().parts
    address = parse(place)
    return (address.root, *(address.key.split("/") if address.key else ()))
