"""A hub on this machine: as much of the Hugging Face hub's HTTP interface as loading and pushing a model use."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

REVISION = hashlib.sha1(b"main").hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Repositories by name, each a dictionary of files; without the right token nothing can be written."""

    repositories: ClassVar[dict[str, dict[str, bytes]]] = {}
    token = "hf_ours"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def answer(self, content: bytes | dict | list, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode() if isinstance(content, dict | list) else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        name, _, rest = self.path.removeprefix("/api/models").strip("/").partition("/resolve/")
        name = "/".join(name.split("/")[:2])
        files = self.repositories.get(name)
        if files is None:
            return self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        if rest:
            content = files[rest.split("/", 1)[1]]
            etag = hashlib.sha1(content).hexdigest()
            return self.answer(content, ETag=f'"{etag}"', X_Repo_Commit=REVISION)
        if "/tree/" in self.path:
            entries = [
                {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for file, content in files.items()
            ]
            return self.answer(entries)
        siblings = [{"rfilename": file} for file in files]
        return self.answer({"id": name, "sha": REVISION, "siblings": siblings, "tags": [], "private": False})

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {self.token}":
            return self.answer({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            told = json.loads(body)
            name = f"{told['organization']}/{told['name']}" if told.get("organization") else told["name"]
            self.repositories.setdefault(name, {})
            return self.answer({"url": f"{self.server.url}/{name}"})  # type: ignore[attr-defined]
        name = "/".join(self.path.removeprefix("/api/models/").split("/")[:2])
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            plain = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            return self.answer({"files": plain})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = f"{self.server.url}/{name}/commit/{REVISION}"  # type: ignore[attr-defined]
        return self.answer({"commitUrl": url, "commitOid": REVISION, "success": True})


@contextmanager
def hub() -> Iterator[str]:
    """The address of an empty hub that is there as long as the context."""
    Hub.repositories = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.url  # type: ignore[attr-defined]
        server.shutdown()
