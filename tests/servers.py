"""Real servers on loopback: S3 by moto, a web server with ranges, and a proxy in front of either that fails at will."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def serve_s3() -> Iterator[str]:
    """An S3 server in a process of its own, with one empty bucket; gives its URL."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
            yield url
        finally:
            process.kill()


def run_s3() -> None:
    """Serve S3 until killed; one request at a time, or moto's look before a conditional put would not be worth much."""
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


@contextlib.contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server in a thread; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status, content=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextlib.contextmanager
def serve_files(folder: Path) -> Iterator[str]:
    """A plain web server over a folder: GET, HEAD and ranges, nothing else."""

    class Handler(Quiet):
        def do_GET(self):
            path = folder / unquote(urlsplit(self.path).path).lstrip("/")
            if not path.is_file():
                return self.answer(404, b"not here")
            content = path.read_bytes()
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if not asked:
                return self.answer(200, content, [("Accept-Ranges", "bytes")])
            first, last = asked.groups()
            start = int(first) if first else max(len(content) - int(last), 0)
            stop = min(int(last) + 1, len(content)) if first and last else len(content)
            return self.answer(
                206, content[start:stop], [("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")]
            )

        do_HEAD = do_GET  # noqa: N815  http.server's names

    with serve(Handler) as url:
        yield url


@dataclass
class Faults:
    """What a proxy does to requests, and how many it saw."""

    url: str = ""
    """The proxy."""
    every: int = 0
    """Each so many requests is answered with ``status``; 0 for none."""
    status: int = 503
    late: int = 0
    """Each so many requests is answered with ``status`` after it was done; 0 for none."""
    delay: float = 0.0
    """Seconds before each answer."""
    cut: str = ""
    """Answers whose path matches lose their second half, with the length that was promised."""
    cut_every: int = 1
    """Only each so many of these."""
    flip: str = ""
    """Answers whose path matches have one bit changed."""
    dead: str = ""
    """Requests whose path matches are always answered with ``status``."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Methods and paths of all requests."""


@contextlib.contextmanager
def serve_faults(target: str) -> Iterator[Faults]:
    """A proxy in front of a server."""
    faults, lock = Faults(), threading.Lock()
    host = target.removeprefix("http://")

    class Handler(Quiet):
        def do_GET(self):
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                faults.seen.append((self.command, self.path))
                number = len(faults.seen)
            time.sleep(faults.delay)
            dead = faults.dead and re.search(faults.dead, self.path)
            if dead or (faults.every and number % faults.every == 0):
                return self.answer(faults.status, b"no")
            line = http.client.HTTPConnection(host)
            line.request(self.command, self.path, content, dict(self.headers))
            reply = line.getresponse()
            body = reply.read()
            line.close()
            if faults.late and number % faults.late == 0:
                return self.answer(faults.status, b"no")
            kept = [pair for pair in reply.getheaders() if pair[0].lower() not in {"content-length", "connection"}]
            if self.command == "HEAD":
                self.send_response(reply.status)
                for pair in [*kept, ("Content-Length", reply.getheader("Content-Length", "0"))]:
                    self.send_header(*pair)
                return self.end_headers()
            if faults.flip and re.search(faults.flip, self.path):
                body = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
            if faults.cut and number % faults.cut_every == 0 and re.search(faults.cut, self.path):
                self.send_response(reply.status)
                for pair in [*kept, ("Content-Length", str(len(body)))]:
                    self.send_header(*pair)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return None
            return self.answer(reply.status, body, kept)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  http.server's names

    with serve(Handler) as url:
        faults.url = url
        yield faults


if __name__ == "__main__":
    run_s3()
