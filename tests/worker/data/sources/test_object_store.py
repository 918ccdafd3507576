"""Sources in an S3-compatible store: a real S3 API server on a local port, and credentials from the environment alone."""

from __future__ import annotations

import gzip
import io
import tarfile

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from moto.server import ThreadedMotoServer

from worker.data.sources import open_source, places
from worker.failures import StageFailure
from worker.specs import SourceSpec


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """put(key, bytes); the store starts empty."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    places._file_system.cache_clear()
    store = boto3.resource("s3").Bucket("code")
    store.create()
    yield lambda key, body: store.put_object(Key=key, Body=body)
    store.objects.delete()
    store.delete()
    places._file_system.cache_clear()


def test_every_object_below_a_prefix_is_a_file(contents, bucket):
    for key in ("src/a.py", "src/lib/b.py", "src/lib/test/c.py", "src/.git/config", "other/d.py"):
        bucket(key, key.encode())
    found = contents("folder", "s3://code/src", exclude=("test",))
    assert found.texts == {"a.py": "src/a.py", "lib/b.py": "src/lib/b.py"}


def test_parquet_lines_and_archives_are_read_where_they_lie(contents, bucket):
    table = io.BytesIO()
    pq.write_table(pa.table({"content": ["x", "y"], "path": ["a.py", "b.py"]}), table, row_group_size=1)
    bucket("tables/x.parquet", table.getvalue())
    bucket("lines/x.jsonl.gz", gzip.compress(b'{"content": "z", "path": "c.py"}\n'))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as out:
        info = tarfile.TarInfo("d.py")
        info.size = 1
        out.addfile(info, io.BytesIO(b"w"))
    bucket("packages/p-1.tgz", packed.getvalue())
    assert contents("parquet", "s3://code/tables/*.parquet").texts == {"a.py": "x", "b.py": "y"}
    assert contents("jsonl", "s3://code/lines/x.jsonl.gz").texts == {"c.py": "z"}
    assert contents("archive", "s3://code/packages").texts == {"p-1.tgz/d.py": "w"}


def test_a_snapshot_is_of_etags_and_is_looked_up_anew(bucket):
    bucket("src/a.py", b"one")
    spec = SourceSpec("s", "s3://code/src")
    before = open_source(spec).snapshot()
    bucket("src/a.py", b"two")
    after = open_source(spec).snapshot()
    bucket("src/a.py", b"one")
    assert (after != before, open_source(spec).snapshot() == before) == (True, True)


def test_an_object_that_went_after_the_listing_is_a_reason(bucket):
    bucket("src/a.py", b"one")
    bucket("src/b.py", b"two")
    reader = open_source(SourceSpec("s", "s3://code/src"))
    items = sorted(reader.list(), key=lambda item: item.path)
    boto3.resource("s3").Object("code", "src/a.py").delete()
    (gone, why), kept = reader.read([item.locator for item in items], [item.size_bytes for item in items])
    assert gone is None and why
    assert kept == (b"two", None)


@pytest.mark.parametrize("kind", ["folder", "parquet", "jsonl", "archive"])
@pytest.mark.parametrize("location", ["s3://code/nowhere", "s3://no-such-bucket/x"])
def test_a_place_that_is_not_there_is_refused(bucket, kind, location, tmp_path):
    with pytest.raises(StageFailure) as refused:
        list(open_source(SourceSpec("s", location, kind=kind), scratch=tmp_path).list())
    assert refused.value.code in {"data:user:source-missing", "data:user:source-unreachable"}


def test_a_refused_key_is_said_so_and_where_keys_come_from(bucket, server):
    bucket("src/a.py", b"one")
    requests.post(f"{server}/moto-api/reset-auth", data="0", timeout=10)
    try:
        with pytest.raises(StageFailure, match="workers' environment") as refused:
            list(open_source(SourceSpec("s", "s3://code/src")).list())
    finally:
        requests.post(f"{server}/moto-api/reset-auth", data="inf", timeout=10)
    assert refused.value.code == "data:user:source-unreachable"
    assert "secret" not in str(refused.value)


def test_a_delta_table_lies_there_too(contents, bucket):
    import deltalake

    options = {"AWS_ALLOW_HTTP": "true", "AWS_S3_ALLOW_UNSAFE_RENAME": "true"}
    table = pa.table({"content": ["x"], "path": ["a.py"]})
    deltalake.write_deltalake("s3://code/lake/files", table, storage_options=options)
    assert contents("delta", "s3://code/lake/files").texts == {"a.py": "x"}
