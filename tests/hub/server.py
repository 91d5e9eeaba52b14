"""A Hub on the loopback address: repositories held in memory, served by the protocol that the real clients speak.

    with Hub() as hub:
        hub.add("owner/name", {"config.json": b"{}"})
        ...                                    # clients find it by HF_ENDPOINT=hub.url
        hub.fail("503", "tokenizer_config", times=1)

What is served: repository information, trees, paths-info, refs, whoami, and files (`resolve`), the large ones by a
redirect to another host, as the Hub sends them to its storage. Git's SHA-1 is the ETag of small files, SHA-256 that of
large ones. There is no Xet: no header mentions it, so that clients download over HTTP. Facts are from the clients'
source and from the Hub's answers as the issue trackers of its clients quote them.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub.repositories import Files, Kind, Repository, git_sha1, is_large, sha256


FaultKind = Literal["429", "503", "reset", "truncate", "flip", "slow", "drop"]


@dataclass
class Fault:
    """What goes wrong with requests whose "METHOD /path" the pattern is found in, a number of times."""

    kind: FaultKind
    pattern: str
    times: int
    seconds: float
    """The seconds of Retry-After, or that a slow body takes."""


@dataclass
class Request:
    """One request as it came, with its headers' names in lower case, and the status of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    status: int = 0


class Hub:
    """The server and its repositories; a context manager that runs it.

    Attributes:
        url: for HF_ENDPOINT.
        requests: what was asked so far.
        users: names by token; `access` holds (token, repository id) of those let into gated and private ones.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.moved: dict[tuple[str, str], str] = {}
        self.users: dict[str, str] = {}
        self.access: set[tuple[str, str]] = set()
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self.port = 0
        self.server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, id: str, files: Files, kind: Kind = "model", **access: bool) -> Repository:
        """A repository with one commit on main; `private=True` or `gated=True` closes it."""
        repository = Repository(id, kind, **access)
        repository.commit(files)
        self.repositories[kind, id] = repository
        return repository

    def move(self, old: str, new: str, kind: Kind = "model") -> None:
        """Renames a repository; the old name redirects."""
        repository = self.repositories.pop((kind, old))
        repository.id = new
        self.repositories[kind, new] = repository
        self.moved[kind, old] = new

    def user(self, token: str, name: str, *access: str) -> None:
        """Makes a token known, with access to the named repositories."""
        self.users[token] = name
        self.access |= {(token, id) for id in access}

    def fail(self, kind: FaultKind, pattern: str = "", *, times: int = 1, seconds: float = 0) -> None:
        """Spoils the next answers to requests that fit the regular expression; times=-1 spoils all of them."""
        self.faults.append(Fault(kind, pattern, times, seconds))

    def fault(self, request: Request, *kinds: FaultKind) -> Fault | None:
        """The next fault of these kinds for a request, which is then used up."""
        with self.lock:
            for fault in self.faults:
                if fault.kind in kinds and fault.times and re.search(fault.pattern, f"{request.method} {request.path}"):
                    fault.times -= 1
                    return fault
        return None

    def asked(self, pattern: str) -> list[Request]:
        """The requests so far whose "METHOD /path" the pattern is found in."""
        return [one for one in self.requests if re.search(pattern, f"{one.method} {one.path}")]

    def start(self) -> None:
        """Listens; after `stop` at the same port."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"hub": self}))
        server.daemon_threads = True
        self.port, self.server = server.server_port, server
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from now on, and ends those that clients keep open."""
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Refusal(Exception):
    """An error as the Hub answers it: status, code and message, and further headers."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        self.status, self.headers = status, headers
        self.headers |= {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.hub.open.add(self.connection)

    def finish(self) -> None:
        self.hub.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.request_seen = Request(self.command, unquote(self.path), {k.lower(): v for k, v in self.headers.items()})
        self.hub.requests.append(self.request_seen)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.hub.fault(self.request_seen, "drop"):
                self._hang_up()
            elif fault := self.hub.fault(self.request_seen, "429", "503"):
                wait = {"Retry-After": f"{fault.seconds:.0f}"} if fault.kind == "429" else {}
                raise _Refusal(int(fault.kind), "", "Too Many Requests" if wait else "Service Unavailable", **wait)
            else:
                self._route(urlsplit(self.path), body)
        except _Refusal as refusal:
            said = json.dumps({"error": refusal.headers["X-Error-Message"]}).encode()
            self._answer(refusal.status, said, refusal.headers, "application/json")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_POST = do_GET

    def _route(self, url: Any, body: bytes) -> None:
        path, query = url.path, parse_qs(url.query)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.users and not path.startswith("/storage/"):
            raise _Refusal(401, "", "Invalid credentials in Authorization header")
        if path == "/api/whoami-v2":
            if not token:
                raise _Refusal(401, "", "Invalid username or password.")
            self._json({"type": "user", "name": self.hub.users[token], "auth": {"type": "access_token"}})
        elif match := re.fullmatch(r"/api/(model|dataset)s/([^/]+(?:/[^/]+)?)", path):
            repository = self._repository(*match.groups())
            self._json(repository.information(repository.branches["main"], blobs="blobs" in query))
        elif match := re.fullmatch(
            r"/api/(model|dataset)s/(.+?)/(revision|tree|paths-info|refs|auth-check)(?:/([^/]+))?(?:/(.+))?", path
        ):
            kind, id, verb, revision, folder = match.groups()
            self._api(self._repository(kind, id, closed=True), verb, unquote(revision or "main"), folder, query, body)
        elif match := re.fullmatch(r"/(?:(dataset)s/)?(.+?)/resolve/([^/]+)/(.+)", path):
            kind, id, revision, name = match.groups()
            self._resolve(self._repository(kind or "model", id, closed=True), unquote(revision), unquote(name))
        elif match := re.fullmatch(r"/storage/(model|dataset)/(.+)/([0-9a-f]{40})/(.+)", path):
            kind, id, commit, name = match.groups()
            content = self.hub.repositories[kind, id].commits[commit][unquote(unquote(name))]
            self._file(content, {"ETag": f'"{sha256(content)}"'})
        else:
            raise _Refusal(404, "", "Sorry, we can't find the page you are looking for.")

    def _repository(self, kind: str, id: str, *, closed: bool = False) -> Repository:
        """The repository, if who asks may see it; `closed` is what gated repositories show to nobody else."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if new := self.hub.moved.get((kind, id)):
            raise _Refusal(307, "", "Moved", Location=self.path.replace(id, new, 1))
        repository = self.hub.repositories.get((kind, id))
        let_in = (token, id) in self.hub.access
        if repository is None or (repository.private and not let_in):
            raise _Refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if repository.gated and closed and not let_in:
            raise _Refusal(403 if token else 401, "GatedRepo", f"Access to {kind} {id} is restricted.")
        return repository

    def _api(
        self, repository: Repository, verb: str, revision: str, folder: str | None, query: dict, body: bytes
    ) -> None:
        if verb == "auth-check":
            self._answer(200, b"OK", {})
            return
        if verb == "refs":
            named = {"branches": ("heads", repository.branches), "tags": ("tags", repository.tags)}
            refs = {
                word: [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": c} for n, c in points.items()]
                for word, (kind, points) in named.items()
            }
            self._json({**refs, "converts": []})
            return
        commit = self._commit(repository, revision)
        if verb == "revision":
            self._json(repository.information(commit, blobs="blobs" in query))
        elif verb == "tree":
            recursive = query.get("recursive", ["False"])[0].lower() in ("true", "1")
            entries = repository.tree(commit, unquote(folder or ""), recursive=recursive)
            if folder and not entries:
                raise _Refusal(404, "EntryNotFound", f"{folder} does not exist")
            self._json(entries)
        else:
            asked = json.loads(body) if body.startswith(b"{") else parse_qs(body.decode())
            everything = {entry["path"]: entry for entry in repository.tree(commit)}
            self._json([everything[path] for path in asked.get("paths", []) if path in everything])

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.find(revision)
        if commit is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _resolve(self, repository: Repository, revision: str, name: str) -> None:
        commit = self._commit(repository, revision)
        content = repository.commits[commit].get(name)
        if content is None:
            raise _Refusal(404, "EntryNotFound", "Entry not found", **{"X-Repo-Commit": commit})
        if not is_large(name, content):
            self._file(content, {"X-Repo-Commit": commit, "ETag": f'"{git_sha1(content)}"'})
            return
        place = f"/storage/{repository.kind}/{repository.id}/{commit}/{quote(name)}"
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-Etag": f'"{sha256(content)}"',
            # another name of this host, so that clients see another host and send it no token
            "Location": f"http://localhost:{self.hub.port}{place}",
        }
        self._answer(302, b"", headers)

    def _json(self, value: Any) -> None:
        self._answer(200, json.dumps(value).encode(), {}, "application/json")

    def _file(self, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the rest of it from the byte that a Range asks for, with what is to go wrong on the way."""
        start, status = 0, 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, status = int(asked[1]), 206
            stop = int(asked[2]) + 1 if asked[2] else len(content)
            headers["Content-Range"] = f"bytes {start}-{min(stop, len(content)) - 1}/{len(content)}"
            content = content[start:stop]
        fault = self.command == "GET" and self.hub.fault(self.request_seen, "reset", "truncate", "flip", "slow")
        if not fault:
            self._answer(status, content, {"Accept-Ranges": "bytes", **headers})
            return
        if fault.kind == "flip":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            self._answer(status, content, headers)
            return
        half = len(content) // 2
        self._answer(status, content[:half], headers, length=len(content))
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            self.wfile.write(content[half:])
            return
        self.wfile.flush()
        if fault.kind == "reset":
            time.sleep(0.05)  # what was sent must arrive: a reset throws away what lies in the client's buffer
        self._hang_up(reset=fault.kind == "reset")

    def _hang_up(self, *, reset: bool = False) -> None:
        if reset:  # no farewell: closing then sends RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        kind: str = "application/octet-stream",
        length: int | None = None,
    ) -> None:
        self.request_seen.status = status
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
