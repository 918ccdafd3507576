"""Delta tables written by delta-rs, and a Unity Catalog that says where one lies."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import deltalake
import pyarrow as pa
import pytest

from worker.data.sources import open_source
from worker.failures import StageFailure
from worker.specs import SourceSpec


def table(*names, language="Python"):
    paths = [f"{name}.py" for name in names]
    return pa.table({"content": list(names), "path": paths, "language": [language] * len(names)})


@pytest.fixture
def lake(tmp_path):
    deltalake.write_deltalake(tmp_path / "lake", table("a", "b"), partition_by=["language"])
    deltalake.write_deltalake(tmp_path / "lake", table("c", language="C++"), mode="append")
    return tmp_path / "lake"


def add_to_log(lake, number, *actions):
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (lake / "_delta_log" / f"{number:020d}.json").write_text(text)


def test_live_files_are_read_with_their_partitions(contents, lake):
    found = contents("delta", lake)
    assert found.texts == {"a.py": "a", "b.py": "b", "c.py": "c"}
    assert {path: row["language"] for path, row in found.rows.items()} == {
        "a.py": "Python",
        "b.py": "Python",
        "c.py": "C++",
    }


def test_rows_that_were_deleted_are_gone_and_an_older_version_has_them(contents, lake):
    deltalake.DeltaTable(lake).delete("path = 'a.py'")
    assert contents("delta", lake).texts == {"b.py": "b", "c.py": "c"}
    assert contents("delta", lake, version=0).texts == {"a.py": "a", "b.py": "b"}


def test_a_snapshot_is_of_the_live_files(lake):
    spec = SourceSpec("s", str(lake), kind="delta")
    before = open_source(spec).snapshot()
    deltalake.write_deltalake(lake, table("d"), mode="append")
    assert open_source(spec).snapshot() != before
    old = SourceSpec("s", str(lake), kind="delta", options={"version": 1})
    assert open_source(old).snapshot() == before


PROTOCOL = {"minReaderVersion": 3, "minWriterVersion": 7}


def with_vectors(lake, vector):
    """The table as Databricks writes it with deletion vectors switched on; `vector` takes six rows of its first file."""
    feature = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    actions = [{"protocol": {**PROTOCOL, **feature}}]
    if vector:
        log = (lake / "_delta_log" / "00000000000000000000.json").read_text().splitlines()
        add = next(json.loads(line)["add"] for line in log if "add" in json.loads(line))
        # The example of the Delta protocol: an inline vector of rows 3, 4, 7, 11, 18 and 29.
        bitmap = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L"
        descriptor = {"storageType": "i", "pathOrInlineDv": bitmap, "sizeInBytes": 44, "cardinality": 6}
        remove = {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}
        actions += [{"remove": remove}, {"add": {**add, "deletionVector": descriptor}}]
    add_to_log(lake, 2, *actions)


@pytest.mark.parametrize("n_rows", [40, 2])
def test_a_table_with_deletion_vectors_is_refused_and_pointed_to_spark(contents, tmp_path, n_rows):
    lake = tmp_path / "lake"
    deltalake.write_deltalake(lake, table(*(f"f{i}" for i in range(n_rows))))
    deltalake.write_deltalake(lake, table("c"), mode="append")
    with_vectors(lake, vector=True)
    with pytest.raises(StageFailure, match=r"deletion vectors.*Spark") as refused:
        contents("delta", lake)
    assert refused.value.code == "data:user:spark-only"


def test_a_table_that_could_have_deletion_vectors_and_has_none_is_read(contents, lake):
    with_vectors(lake, vector=False)
    assert len(contents("delta", lake).texts) == 3


def test_a_table_with_renamed_columns_is_refused(contents, tmp_path):
    lake = tmp_path / "lake"
    deltalake.write_deltalake(lake, table("a"))
    deltalake.write_deltalake(lake, table("b"), mode="append")
    log = (lake / "_delta_log" / "00000000000000000000.json").read_text().splitlines()
    about = next(json.loads(line)["metaData"] for line in log if "metaData" in json.loads(line))
    about["configuration"] = {"delta.columnMapping.mode": "name"}
    schema = json.loads(about["schemaString"])
    for number, field in enumerate(schema["fields"]):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"}
    about["schemaString"] = json.dumps(schema)
    feature = {"readerFeatures": ["columnMapping"], "writerFeatures": ["columnMapping"]}
    add_to_log(lake, 2, {"protocol": {**PROTOCOL, **feature}}, {"metaData": about})
    with pytest.raises(StageFailure) as refused:
        contents("delta", lake)
    assert refused.value.code == "data:user:spark-only"


def test_a_table_that_asks_for_what_nobody_here_knows_is_refused(contents, lake):
    feature = {"readerFeatures": ["fromTheFuture"], "writerFeatures": ["fromTheFuture"]}
    add_to_log(lake, 2, {"protocol": {**PROTOCOL, **feature}})
    with pytest.raises(StageFailure, match="fromTheFuture") as refused:
        contents("delta", lake)
    assert refused.value.code == "data:user:spark-only"


def test_a_version_that_is_not_there_is_refused(contents, lake):
    with pytest.raises(StageFailure) as refused:
        contents("delta", lake, version=99)
    assert refused.value.code == "data:user:bad-source"


class Catalog(BaseHTTPRequestHandler):
    """The two calls of the Unity Catalog REST API (2.1) that a reader makes."""

    location = ""
    asked: list = []

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        if self.headers["Authorization"] != "Bearer let-me-in":
            return self.answer(401, {"error_code": "UNAUTHENTICATED", "message": "Who are you?"})
        if name != "main.code.files":
            return self.answer(404, {"error_code": "TABLE_DOES_NOT_EXIST", "message": name})
        about = {"name": "files", "table_id": "t1", "storage_location": self.location, "data_source_format": "DELTA"}
        return self.answer(200, about)

    def do_POST(self):
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(200, {"expiration_time": 0})

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def catalog(lake, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Catalog)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(Catalog, "location", f"file://{lake}")
    monkeypatch.setattr(Catalog, "asked", [])
    monkeypatch.setenv("UNITY_CATALOG_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("UNITY_CATALOG_TOKEN", "let-me-in")
    yield Catalog
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore:Credentials for scheme file")
def test_a_table_is_found_by_its_name_in_a_catalog_which_is_asked_for_reading_only(contents, catalog):
    assert contents("unity", "main.code.files").texts == {"a.py": "a", "b.py": "b", "c.py": "c"}
    assert {asked["operation"] for asked in catalog.asked} == {"READ"}


def test_a_table_that_the_catalog_does_not_have_is_missing(contents, catalog):
    with pytest.raises(StageFailure) as refused:
        contents("unity", "main.code.nothing")
    assert refused.value.code == "data:user:source-missing"


def test_a_catalog_that_refuses_is_named_without_the_token(contents, catalog, monkeypatch):
    monkeypatch.setenv("UNITY_CATALOG_TOKEN", "wrong-token")
    with pytest.raises(StageFailure) as refused:
        contents("unity", "main.code.files")
    assert refused.value.code == "data:user:source-unreachable"
    assert "wrong-token" not in str(refused.value)


def test_without_a_catalog_the_refusal_says_what_to_set(contents, monkeypatch):
    for name in ("UNITY_CATALOG_URL", "DATABRICKS_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StageFailure, match="UNITY_CATALOG_URL or DATABRICKS_HOST"):
        contents("unity", "main.code.files")
