"""As much of a server of Weights & Biases as its client needs to believe that it uploads a run."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WandbServer:
    """On this machine, at ``url``.

    ``requests`` are the GraphQL operations that it has answered, ``history`` the rows that it was sent.

    It refuses connections after `close`, and leaves requests unanswered while ``hangs`` is true.
    """

    def __init__(self) -> None:
        self.hangs = False
        self.requests: list[str] = []
        self.history: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of clients that have gone
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                while ours.hangs:
                    time.sleep(0.1)
                answer = ours._answer(json.loads(body)) if self.path == "/graphql" else {}
                if self.path.endswith("/file_stream"):
                    part = json.loads(body).get("files", {}).get("wandb-history.jsonl", {})
                    rows, first = part.get("content", []), part.get("offset", 0)
                    ours.history[first : first + len(rows)] = map(json.loads, rows)  # what comes twice counts once
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        ((kind, operation),) = re.findall(r"^\s*(query|mutation)\s+(\w+)", request["query"])
        self.requests.append(operation)
        given = request.get("variables") or {}
        project = {"id": "p", "name": "project", "entity": {"id": "e", "name": "team"}}
        bucket = {"id": "r", "name": given.get("name"), "displayName": "run", "config": "{}", "project": project}
        viewer = {"id": "u", "username": "me", "entity": "team", "flags": "{}", "teams": {"edges": []}}
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given.get("files", ())]
        known = {
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "Viewer": {"viewer": viewer},
            "CreateRunFiles": {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}},
        }
        if operation in known:
            return {"data": known[operation]}
        # Asked for what is there, that nothing is; asked to do something, such as to take an artifact, an error.
        return {"data": {"project": None}} if kind == "query" else {"errors": [{"message": "not here"}]}
