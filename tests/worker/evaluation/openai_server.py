"""A small server with OpenAI's API over real sockets, that answers from a table and can be told to misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes over the wire instead of an answer. `length` may promise more bytes than come."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


def error(status: int, message: str, param: str | None = None, code: str = "", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return Reply(status, json.dumps(body), named)


@dataclass
class Server:
    """`replies` are used up first, one a request; then `refuses` may give one; then `answers` gives the text."""

    answers: Callable[[Json], str]
    key: str = ""
    replies: list[Reply] = field(default_factory=list)
    refuses: Callable[[Json], Reply | None] = lambda request: None
    finish: str = "stop"
    requests: list[Json] = field(default_factory=list)
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def reply(self, path: str, authorization: str, request: Json) -> Reply:
        with self.lock:
            self.requests.append(request)
            if self.replies:
                return self.replies.pop(0)
        if self.key and authorization != f"Bearer {self.key}":
            return error(401, f"Incorrect API key provided: {authorization}")
        return self.refuses(request) or Reply(200, json.dumps(self._answer(path, request)))

    def _answer(self, path: str, request: Json) -> Json:
        text = self.answers(request)
        told = (
            {"message": {"role": "assistant", "content": text}}
            if path.endswith("/chat/completions")
            else {"text": text}
        )
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        return {"id": "c-1", "choices": [{"index": 0, "finish_reason": self.finish, **told}], "usage": usage}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server, listening on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = server.reply(self.path, self.headers.get("Authorization", ""), request)
            body = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if reply.length is None else reply.length))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = reply.length is not None

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
