"""A proxy between a storage client and an emulated store that breaks what a network and a busy store break.

For Google Cloud Storage it also keeps the contract of resumable uploads, which the emulator does not: a chunk that
overlaps what has arrived is taken once, a chunk after a gap is refused, the state of a session can be asked for, and a
finished session gives its answer again.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEPT = 256 << 10
"""A resumable session keeps multiples of this of a chunk that breaks off."""


@dataclass
class Request:
    """A request as it came in.

    Attributes:
        fate: What was done to it; empty: it was handed on and answered.
    """

    method: str
    path: str
    headers: dict[str, str]
    size: int
    fate: str = ""


@dataclass
class Fault:
    """What happens to the next matching requests.

    Attributes:
        fate: A status code; `refuse` (closed before it is read), `break upload` (closed in the middle of its body),
            `lose answer` (handed on, closed without an answer), `break answer` (closed in the middle of the answer),
            `shorten` (an answer that is whole but too short), `keep less` (a resumable session keeps a part of the
            chunk, and says so), `delay` (by `seconds`).
        skip: So many matching requests pass before.
    """

    fate: str
    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0
    seconds: float = 0.0

    def takes(self, request: Request) -> bool:
        """Whether it is this request's turn."""
        if self.times <= 0 or not re.fullmatch(self.method or ".*", request.method):
            return False
        if not re.search(self.path, request.path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: Where it listens.
        target: The store behind it.
        seen: All requests so far.
        stripped: Headers that the store never gets to see.
        careless: Conditions hold or not as things stood a moment before the write.
        page: Most objects on a page of a listing; 0: as the store likes.
    """

    url: str
    target: str
    seen: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stripped: tuple[str, ...] = ()
    careless: bool = False
    page: int = 0
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, fate: str, **when: Any) -> None:
        """Adds a fault; see `Fault`."""
        self.faults.append(Fault(fate, **when))

    def calls(self, method: str = "", path: str = "") -> list[Request]:
        """The requests of a kind so far."""
        return [r for r in self.seen if re.fullmatch(method or ".*", r.method) and re.search(path, r.path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def _any(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        request = Request(self.command, self.path, dict(self.headers.items()), size)
        with self.proxy.lock:
            self.proxy.seen.append(request)
            fault = next((fault for fault in self.proxy.faults if fault.takes(request)), None)
        request.fate = fault.fate if fault else ""
        if request.fate == "refuse":
            self._close()
            return
        if request.fate == "delay" and fault:
            time.sleep(fault.seconds)
        if request.fate == "break upload":
            self._take(self.rfile.read(size * 2 // 3), whole=False)
            self._close()
            return
        body = self.rfile.read(size)
        if request.fate.isdecimal():
            self._answer(int(request.fate), {"Content-Type": "application/json"}, b"{}")
            return
        if request.fate == "keep less":
            self._take(body[: size * 2 // 3], whole=False)
            self._answer(*self._state())
            return
        for name in self.proxy.stripped:
            del self.headers[name]
        if self.proxy.careless and self.command == "PUT":
            self._check_carelessly()
        status, headers, content = self._take(body, whole=True)
        match request.fate:
            case "lose answer":
                self._close()
            case "break answer":
                self._answer(status, headers, content, sent=len(content) // 2)
                self._close()
            case "shorten":
                self._answer(status, headers, content[: len(content) // 2])
            case _:
                self._answer(status, headers, content)

    def _check_carelessly(self) -> None:
        """Takes a condition off that holds now; the write comes later, when it may hold no more."""
        connection = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc)
        connection.request("HEAD", self.path, headers={"Authorization": self.headers.get("Authorization", "")})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        there, wanted = answer.status == 200, self.headers.get("If-Match")
        if not there and wanted is None:
            del self.headers["If-None-Match"]
        if there and wanted == answer.getheader("ETag"):
            del self.headers["If-Match"]
        time.sleep(0.2)

    def _take(self, body: bytes, *, whole: bool) -> tuple[int, dict[str, str], bytes]:
        """Hands a body on; of one that breaks off, a resumable session takes what it keeps."""
        session = self._session()
        if session is None:
            return self._hand_on(body, self.headers.get("Content-Range")) if whole else (0, {}, b"")
        if session["final"] is not None:
            return session["final"]  # type: ignore[no-any-return]
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", self.headers.get("Content-Range", ""))
        if found is None:
            return self._state()
        first, _, total = (int(text) for text in found.groups())
        if first > session["kept"]:
            return 400, {"Content-Type": "application/json"}, b'{"error": {"message": "a gap in the upload"}}'
        if not whole:
            body = body[: len(body) // KEPT * KEPT]
        fresh = body[session["kept"] - first :]
        session["kept"] += len(fresh)
        session["held"] += fresh
        if whole and session["held"]:
            # The emulator takes whole chunks only.
            held, session["held"] = session["held"], b""
            answer = self._hand_on(held, f"bytes {session['kept'] - len(held)}-{session['kept'] - 1}/{total}")
            if answer[0] in (200, 201):
                session["final"] = answer
                return answer
        return self._state()

    def _session(self) -> dict[str, Any] | None:
        if self.command != "PUT":
            return None
        upload_id = parse_qs(urlsplit(self.path).query).get("upload_id", [""])[0]
        return self.proxy.sessions.get(upload_id)

    def _state(self) -> tuple[int, dict[str, str], bytes]:
        session = self._session()
        assert session is not None
        kept = session["kept"]
        return 308, {"Range": f"bytes=0-{kept - 1}"} if kept else {}, b""

    def _hand_on(self, body: bytes, content_range: str | None) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        headers["Content-Length"] = str(len(body))
        if content_range:
            headers["Content-Range"] = content_range
        if self.command in ("GET", "HEAD", "DELETE") and not body:
            del headers["Content-Length"]
        path = self.path
        if self.proxy.page and self.command == "GET" and re.search(r"list-type=2|/o\?", path):
            path += f"&max-keys={self.proxy.page}&maxResults={self.proxy.page}"
        connection = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc)
        connection.request(self.command, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        given = dict(answer.getheaders())
        if "Location" in given and "upload_id=" in given["Location"]:
            given["Location"] = given["Location"].replace(self.proxy.target, self.proxy.url)
            upload_id = parse_qs(urlsplit(given["Location"]).query)["upload_id"][0]
            self.proxy.sessions[upload_id] = {"kept": 0, "held": b"", "final": None}
        return answer.status, given, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        # The answer to HEAD says how long the object is, and has no body.
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content if sent is None else content[:sent])
        self.wfile.flush()

    def _close(self) -> None:
        """As a connection breaks: reset, so that nobody takes it for an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _any

    def log_message(self, *_: object) -> None:
        """Nothing: what went through is in `seen`."""

    def handle(self) -> None:
        """Serves a connection until it is closed, by whom ever."""
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        """Closes what is still open."""
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True


@contextmanager
def faulty_proxy(target: str) -> Iterator[Proxy]:
    """Runs a proxy in front of a store."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy = Proxy(url=f"http://127.0.0.1:{server.server_address[1]}", target=target)
        handler.proxy = proxy  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
