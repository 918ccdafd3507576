"""Tables that only Spark reads, over a real Spark Connect server: what was deleted is in no row, in no order of arrival."""

from __future__ import annotations

import deltalake
import pytest

from tests.worker.data.clusters_for_tests import spark_connect
from tests.worker.data.sources.test_delta import table, with_vectors
from worker.context import Context
from worker.data import preview
from worker.data.sources import open_source
from worker.data.sources.delta_spark import SparkTable
from worker.data.sources.tables import TableReader
from worker.events import ListReporter
from worker.failures import StageFailure
from worker.specs import SourceSpec

pytestmark = pytest.mark.slow
DELETED = {3, 4, 7, 11, 18, 29}


@pytest.fixture
def lake(tmp_path):
    """41 rows in two files; the vector of the first takes six of its rows."""
    folder = tmp_path / "lake"
    deltalake.write_deltalake(folder, table(*(f"f{i}" for i in range(40))))
    deltalake.write_deltalake(folder, table("c"), mode="append")
    with_vectors(folder, vector=True)
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    pytest.importorskip("pyspark", reason="pip install -r worker/requirements-scale.txt")
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as environment, spark_connect(tmp_path_factory.mktemp("spark")) as remote:
        environment.setenv("SPARK_REMOTE", remote)
        session = SparkSession.builder.remote(remote).getOrCreate()
        yield session
        session.stop()


def test_a_server_without_delta_refuses_and_nothing_is_read_from_the_files(contents, lake, session):
    with pytest.raises(StageFailure, match=r"Spark: .*delta") as refused:
        contents("delta", lake)
    assert refused.value.code == "data:user:source-unreachable"


def test_what_was_deleted_is_never_read(contents, lake, session, tmp_path):
    from tests.worker.data.sources.delta_on_the_server import Delta

    session.dataSource.register(Delta)
    found = contents("delta", lake)
    assert found.texts == {f"f{i}.py": f"f{i}" for i in range(40) if i not in DELETED} | {"c.py": "c"}
    assert found.rows["c.py"]["language"] == "Python"
    spec = SourceSpec("s", str(lake), kind="delta")
    first, second = (open_source(spec, scratch=tmp_path / name) for name in ("one", "two"))
    assert isinstance(first, SparkTable)
    assert list(first.list()) == list(second.list())  # the locators, and so the order, are in it
    before = first.snapshot()
    assert open_source(SourceSpec("s", str(lake), kind="delta", options={"version": 2})).snapshot() == before
    old = open_source(SourceSpec("s", str(lake), kind="delta", options={"version": 1}), scratch=tmp_path)
    assert isinstance(old, TableReader)  # it had no vectors then: its files are what they seem
    assert len(list(old.list())) == 41

    context = Context(tmp_path, ListReporter(), str(tmp_path / "storage"))
    seen = preview.preview(spec, 50, context).summary
    assert len(seen["rows"]) == 35 and seen["table"]["mapping"]["path"] == "path"
    with pytest.raises(StageFailure, match="no column body"):
        contents("delta", lake, columns={"content": "body"})
