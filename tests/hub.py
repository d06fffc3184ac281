"""A model hub on this machine: the few requests of huggingface_hub."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

COMMIT = "c0ffee" * 6 + "c0de"
CHUNK = 4096


class Hub(ThreadingHTTPServer):
    """Serves the folders below `root` as repositories `owner/name`.

    The repositories in `gated` require that a licence is accepted; a file whose name is in `stuck` is sent half and
    then hangs until the server closes.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.root = root
        self.gated: set[str] = set()
        self.stuck: set[str] = set()
        self.closing = threading.Event()
        self.asked: list[str] = []
        """`GET /path`, in order."""
        self.sent = 0
        """Bytes of weights."""
        self.starts: list[int] = []
        """From which byte each file was asked for, in order."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore closed connections; show all other errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fetched(self, ending: str) -> list[str]:
        """The files that were asked for whose name ends so."""
        return [
            line.rpartition(f"/{COMMIT}/")[2] for line in self.asked if line.startswith("GET") and line.endswith(ending)
        ]


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """A hub until the end of the block."""
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *words: Any) -> None:
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/\w+", path):
            self._listing(found[1])
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/\w+)?", path):
            self._about(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/\w+/(.+)", path):
            self._file(found[1], found[2])
        else:
            self._refuse("EntryNotFound", 404)

    def _about(self, repository: str) -> None:
        files = self._files(repository)
        if files is None:
            return
        siblings = [{"rfilename": name, "size": path.stat().st_size} for name, path in files.items()]
        self._json({"id": repository, "sha": COMMIT, "siblings": siblings})

    def _listing(self, repository: str) -> None:
        files = self._files(repository)
        if files is None:
            return
        self._json(
            [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": _etag(path)}
                for name, path in files.items()
            ]
        )

    def _files(self, repository: str) -> dict[str, Path] | None:
        folder = self.server.root / repository
        if not folder.is_dir():
            self._refuse("RepoNotFound", 404)
            return None
        return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}

    def _file(self, repository: str, name: str) -> None:
        if repository in self.server.gated:
            self._refuse("GatedRepo", 403)
            return
        path = self.server.root / repository / name
        if not path.is_file():
            self._refuse("EntryNotFound", 404)
            return
        data = path.read_bytes()
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found and self.command == "GET" else 0
        if self.command == "GET":
            self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_etag(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "GET":
            self._send(name, data, start)

    def _send(self, name: str, data: bytes, start: int) -> None:
        end = len(data) // 2 if name in self.server.stuck else len(data)
        for place in range(start, end, CHUNK):
            self.wfile.write(data[place : min(place + CHUNK, end)])
            self.server.sent += min(CHUNK, end - place)
        if end < len(data):
            self.wfile.flush()
            self.server.closing.wait(10 * PATIENCE)

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _refuse(self, code: str, status: int) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(path: Path) -> str:
    """The hash as git computes it for small files, and SHA-256 for large ones."""
    digest = sha256 if path.suffix == ".safetensors" else sha1
    return digest(path.read_bytes()).hexdigest()
