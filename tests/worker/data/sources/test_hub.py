"""The Hugging Face hub itself, as its own client speaks to it: a small server of the calls that a reader makes."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils._http import reset_sessions

from worker.failures import StageFailure

README = b"---\nconfigs:\n- config_name: default\n  data_files: data/train-*\n---\n"


class Hub(BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if "/ada/gated" in path and self.headers.get("Authorization") != "Bearer let-me-in":
            return self.answer(401, {"error": "gated"}, **{"X-Error-Code": "GatedRepo"})
        path = path.replace("ada/gated", "ada/code")
        if path.startswith("/api/datasets/ada/code/tree/main"):
            return self.answer(200, self.tree(path.partition("/main")[2].strip("/")))
        if path.startswith("/api/datasets/ada/code/revision/main") or path == "/api/datasets/ada/code":
            return self.answer(200, {"id": "ada/code", "sha": "0" * 40, "siblings": []})
        if path.startswith("/datasets/ada/code/resolve/main/"):
            return self.content(self.files[path.partition("/main/")[2]])
        return self.answer(404, {"error": "no such repository"}, **{"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(raw)["paths"] if raw.startswith(b"{") else [raw.partition(b"=")[2].decode()]
        self.answer(200, [self.entry(name) for name in map(unquote, asked) if name in self.files or name == "data"])

    def tree(self, folder):
        is_whole = "recursive=true" in self.path.lower()
        below = [name for name in self.files if name.startswith(f"{folder}/") or not folder]
        found = {
            name if is_whole else f"{folder}/{name[len(folder) :].strip('/').split('/')[0]}".strip("/")
            for name in below
        }
        found |= {name.rpartition("/")[0] for name in found if is_whole and "/" in name} - {folder}
        return [self.entry(name) for name in sorted(found)]

    def entry(self, name):
        if name not in self.files:
            return {"type": "directory", "path": name, "size": 0, "oid": "0" * 40}
        body = self.files[name]
        return {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}

    def content(self, body):
        first, _, last = (self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")
        part = body[int(first) : int(last) + 1 if last else None]
        headers = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}", "ETag": '"x"'}
        self.answer(206, part, **headers)

    def answer(self, status, body, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module", autouse=True)
def hub():
    """One for all: the client keeps its file systems, and with them the address."""
    table = io.BytesIO()
    pq.write_table(pa.table({"content": ["x", "y"], "path": ["a.py", "b.py"]}), table)
    Hub.files = {"README.md": README, "data/train-00000.parquet": table.getvalue(), "data/test-00000.parquet": b"no"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", False)  # a conversion in this process leaves it on
        reset_sessions()
        patch.setattr(constants, "ENDPOINT", address)
        # As that module read it when it was imported.
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield
    server.shutdown()
    server.server_close()


def test_a_dataset_of_the_hub_is_read_by_its_name(contents):
    assert contents("huggingface", "ada/code").texts == {"a.py": "x", "b.py": "y"}
    assert contents("parquet", "hf://datasets/ada/code/data/train-*.parquet").texts == {"a.py": "x", "b.py": "y"}


def test_a_dataset_that_is_not_there_is_missing(contents):
    with pytest.raises(StageFailure) as refused:
        contents("huggingface", "ada/nothing")
    assert refused.value.code == "data:user:source-missing"


def test_a_gated_dataset_asks_for_the_token_of_the_workers(contents, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(StageFailure, match="environment") as refused:
        contents("huggingface", "ada/gated")
    assert refused.value.code == "data:user:source-missing"  # the hub says no more of what one may not see
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    assert contents("huggingface", "ada/gated@main").texts == {"a.py": "x", "b.py": "y"}
