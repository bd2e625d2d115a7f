"""What an object store refuses, in one line with what to do."""

from __future__ import annotations

from tilewise.errors import StoreError

CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_REGION where it is another than us-east-1, and"
    " AWS_ENDPOINT_URL for a store that is not Amazon's; AWS_SKIP_SIGNATURE=true for a public bucket.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for a public bucket.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN.",
    "http": "Check the address, and whether it opens in a browser.",
}
"""How access is given, by kind of store."""


def name_fault(error: BaseException, place: str, kind: str) -> StoreError:
    """A failure of the library that reaches a store, with the place where it happened."""
    from obstore import exceptions

    cause = _first_line(error)
    # a refused list has no type of its own
    refused = "403 Forbidden" in cause or "401 Unauthorized" in cause
    if refused or isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return StoreError(f"{place} is refused by its store", "the right to read or write there", CREDENTIALS[kind])
    if isinstance(error, FileNotFoundError) or "404 Not Found" in cause:
        return StoreError(
            f"{place}: there is no such bucket or server folder",
            "one that exists",
            "Make it, or check its name and the endpoint in the environment.",
        )
    return StoreError(
        f"{place} cannot be reached ({cause})",
        "a store that answers",
        "Check address, network and credentials, and run the same command again.",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).partition("<?xml")[0].strip().splitlines()
    return lines[0].strip(" :")[:300] if lines else type(error).__name__
