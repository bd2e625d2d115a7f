"""Connections to object stores, one a bucket and process, with credentials from the environment."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewise.errors import SettingError, StoreError

if TYPE_CHECKING:
    from tilewise.store.address import Address

SECONDS = 30.0
"""How long a request that fails is tried again; TILEWISE_STORE_SECONDS changes it. One that stands still is given up
after twice as long, so that whatever a store does is said within three times."""

ENVIRONMENT = ("AWS_", "GOOGLE_", "AZURE_", "TILEWISE_STORE_")
"""Beginnings of the variables that a connection depends on."""

GIVEN = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SKIP_SIGNATURE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_METADATA_ENDPOINT",
    ),
    "gs": (
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SKIP_SIGNATURE",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "AZURE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_MSI_ENDPOINT",
        "AZURE_SKIP_SIGNATURE",
    ),
}
"""Variables that say how to sign requests; without any, and off the cloud's own machines, none is signed."""

SERVICE: dict[str, tuple[str, dict[str, str]]] = {
    "s3": ("/latest/meta-data/", {}),
    "gs": ("/computeMetadata/v1/", {"Metadata-Flavor": "Google"}),
    "az": ("/metadata/versions", {"Metadata": "true"}),
}
"""What only the metadata service of a cloud's own machines answers: path and headers. It gives credentials there."""

_clients: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}
_lock = threading.Lock()


def connect(address: Address) -> Any:
    """Obstore's store for the bucket or server of an address, kept for the next call."""
    known = tuple(sorted(item for item in os.environ.items() if item[0].startswith(ENVIRONMENT)))
    key = (address.root, known)
    with _lock:
        if key not in _clients:
            _clients[key] = _open(address)
        return _clients[key]


def patience() -> float:
    """Seconds for which a request that fails is tried again."""
    text = os.environ.get("TILEWISE_STORE_SECONDS", str(SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise SettingError(f"TILEWISE_STORE_SECONDS={text}", "seconds from 1 to 3600", "Change it, or leave it out.")
    return seconds


def _open(address: Address) -> Any:
    from obstore import store

    seconds = patience()
    # a single request may take long where a big part travels over a slow line; one that stands still may not
    client: Any = {
        "connect_timeout": timedelta(seconds=min(5.0, seconds)),
        "read_timeout": timedelta(seconds=2 * seconds),
        "timeout": timedelta(seconds=max(600.0, seconds)),
        "user_agent": "tilewise",
    }
    retry: Any = {
        "max_retries": 10_000,
        "retry_timeout": timedelta(seconds=seconds),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    if _plain(address):
        client["allow_http"] = True
    settings: Any = {"client_options": client, "retry_config": retry}
    unsigned: Any = {"skip_signature": True} if _anonymous(address.kind) else {}
    try:
        if address.kind == "http":
            return store.HTTPStore(address.root, **settings)
        if address.kind == "s3":
            return store.S3Store(address.host, **settings, **unsigned)
        if address.kind == "gs":
            return store.GCSStore(address.host, **settings, **unsigned)
        # abfs://container@account.dfs.core.windows.net/key, or az://container/key with the account in the environment
        return store.AzureStore.from_url(address.root, **settings, **unsigned)
    except Exception as error:
        raise StoreError(
            f"{address}: {str(error).strip().splitlines()[0][:300]}",
            "an address and an environment that fit together",
            "Check the address, and the variables that begin with AWS_, GOOGLE_ or AZURE_.",
        ) from error


def _plain(address: Address) -> bool:
    """True where the user names a server without TLS."""
    ends = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if address.kind == "s3" else ()
    return address.scheme == "http" or any(os.environ.get(name, "").startswith("http://") for name in ends)


def _anonymous(kind: str) -> bool:
    """True if nobody says how to sign requests: public buckets then open, and others refuse."""
    if kind == "http" or any(os.environ.get(name) for name in GIVEN[kind]):
        return False
    if kind == "gs" and (Path.home() / ".config/gcloud/application_default_credentials.json").exists():
        return False
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return True
    return not _in_cloud(kind)


def _in_cloud(kind: str) -> bool:
    """True on a machine of the cloud whose metadata service gives credentials."""
    import http.client
    import urllib.error
    import urllib.request

    path, headers = SERVICE[kind]
    call = urllib.request.Request(f"http://169.254.169.254{path}", headers=headers)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(call, timeout=0.5) as answer:
            return kind != "gs" or answer.headers.get("Metadata-Flavor") == "Google"
    except urllib.error.HTTPError as error:
        # the newer service of Amazon wants a token first
        return kind == "s3" and error.code == HTTPStatus.UNAUTHORIZED
    except (OSError, http.client.HTTPException):
        return False
