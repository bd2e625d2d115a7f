"""The command line: flags to records, records to text. No logic of a run lives here."""

from __future__ import annotations

from tilewise.cli.main import main

__all__ = ["main"]
