"""The command line as a test calls it: in this process, or as a command of its own."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tilewise.cli import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def call(*words) -> Said:
    """In this process; anything but an exit is a defect and comes through."""
    handler, out, err = signal.getsignal(signal.SIGTERM), io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(word) for word in words])
    except SystemExit as exit_:
        return Said(exit_.code, out.getvalue(), err.getvalue())
    finally:
        signal.signal(signal.SIGTERM, handler)
    raise AssertionError("main returned")


def start(*words, **options) -> subprocess.Popen:
    """As a process of its own."""
    command = [sys.executable, "-m", "tilewise", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def until_done(out, count, process, seconds=60):
    """Wait until the ledger of a running command says that so many blocks are done."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        said = call("status", out, "--json")
        if said.code == 0 and said.json["done"] >= count:
            return said.json
        time.sleep(0.02)
    raise AssertionError(f"not {count} blocks within {seconds} s")


def tree(folder) -> dict[str, tuple]:
    """All that stands in a folder: kind, size and time of change of each entry."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(place, name)
            stat = path.lstat()
            found[str(path)] = (stat.st_mode, stat.st_ino, stat.st_mtime_ns if name in files else 0)
    return found


def digests(out) -> dict[str, str]:
    """Content of every file of an output but those of the ledger."""
    files = (path for path in Path(out).rglob("*") if path.is_file())
    names = {path: path.relative_to(out).as_posix() for path in files}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path, name in names.items()
        if not name.startswith("tilewise/")
    }
