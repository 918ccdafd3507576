"""Kinds "delta" and "unity": the live files of a Delta Lake table at one version, as its log lists them.

The log is read by delta-rs, the rows by the same Parquet reader as everywhere. A file with a deletion vector still holds
the rows that were deleted, and a table with column mapping names its columns otherwise than its files do: both are
refused, since reading on would train on withdrawn rows; where the job has a Spark server, that one reads the table instead
(sources.delta_spark). A Unity Catalog says where a table lies and lends a key to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from worker.data.sources.allowed import refuse_forbidden
from worker.data.sources.places import Place, Root, answering, brief, root_of
from worker.failures import StageFailure
from worker.specs import SourceSpec

# What a table may ask of its readers; every other feature could mean that its files are not what they seem.
READ = frozenset({"deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"})
_ENTRY = re.compile(r"/(\d{20})\.(?:checkpoint\.|json$)")


@dataclass(frozen=True)
class DeltaFiles:
    """The files of a table. `storage_options`: of a lent key, by object-store names."""

    spec: SourceSpec
    location: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def root(self) -> Root:
        return root_of(self.location, _for_fsspec(self.storage_options))

    def files(self, root: Root) -> Sequence[Place]:
        """Raises data:user:source-missing, bad-source or deletion-vectors."""
        return [Place(row["path"], root.path_of(row["path"]), row["size"], row["path"]) for row in self._live]

    def constants(self, place: Place) -> Mapping[str, str]:
        """The partition values of a file, which Delta keeps out of it."""
        return next((row["partition"] for row in self._live if row["path"] == place.name), {})

    @cached_property
    def version(self) -> int:
        """What was asked for, else the newest that the log names. Delta names each entry of the log by its version."""
        asked: int | None = self.spec.options.get("version")
        if asked is not None:
            return asked
        root = self.root()
        names = answering(self.spec.location, lambda: root.fs.ls(root.path_of("_delta_log"), detail=False))
        return max(int(found[1]) for name in names if (found := _ENTRY.search(str(name))))

    def needs_spark(self) -> bool:
        """Whether the table is refused here for what Spark can read. What else is wrong with it, listing says."""
        try:
            return self._live is None
        except StageFailure as refused:
            return refused.code == "data:user:spark-only"

    @cached_property
    def _live(self) -> list[dict[str, Any]]:
        table = self._table()
        self._check(table)
        actions = pa.table(table.get_add_actions(flatten=False)).to_pylist()
        return sorted(
            (
                {
                    "path": unquote(action["path"]),
                    "size": action["size_bytes"],
                    "partition": {k: str(v) for k, v in (_partition(action) or {}).items() if v is not None},
                }
                for action in actions
            ),
            key=lambda row: str(row["path"]),
        )

    def _table(self) -> DeltaTable:
        version = self.spec.options.get("version")
        try:
            return DeltaTable(self.location, version=version, storage_options=_for_delta(self.storage_options))
        except TableNotFoundError as error:
            raise StageFailure("data:user:source-missing", location=self.spec.location) from error
        except (DeltaError, OSError, ValueError) as error:
            detail = brief(error).replace(self.location, "it")
            # delta-rs has one class for all that it refuses, and says this of a feature that it does not know.
            code = "data:user:spark-only" if "Unsupported: Feature" in detail else "data:user:bad-source"
            raise StageFailure(code, name=self.spec.name, detail=detail) from error

    def _check(self, table: DeltaTable) -> None:
        features = set(table.protocol().reader_features or ())
        mapping = (table.metadata().configuration or {}).get("delta.columnMapping.mode", "none")
        unknown = sorted(features - READ - {"columnMapping"})
        if mapping != "none" or unknown:
            asked = ", ".join(unknown) or f"column mapping by {mapping}"
            raise StageFailure("data:user:spark-only", name=self.spec.name, detail=asked)
        if "deletionVectors" in features and _has_vectors(table):
            raise StageFailure("data:user:spark-only", name=self.spec.name, detail="deletion vectors")


def unity_files(spec: SourceSpec) -> DeltaFiles:
    """A table by its name in a Unity Catalog. Raises data:user:bad-source or source-unreachable."""
    url = os.environ.get("UNITY_CATALOG_URL") or os.environ.get("DATABRICKS_HOST", "")
    if not url:
        detail = "the workers know no catalog: set UNITY_CATALOG_URL or DATABRICKS_HOST in their environment"
        raise StageFailure("data:user:bad-source", name=spec.name, detail=detail)
    # Here, since importing it is a second that no other kind needs. Daft's public Catalog.from_unity asks the catalog for
    # the right to write as well, which a reader is not given; its client lets us ask for READ alone.
    from daft.catalog.__unity import UnityCatalogClient

    token = os.environ.get("UNITY_CATALOG_TOKEN") or os.environ.get("DATABRICKS_TOKEN")
    client = UnityCatalogClient(url if "://" in url else f"https://{url}", token=token)
    try:
        table = client.load_table(spec.location, operation="READ")
    except ValueError as error:
        raise StageFailure("data:user:source-missing", location=spec.location) from error
    except Exception as error:  # unitycatalog's and httpx's errors share no base class
        raise StageFailure("data:user:source-unreachable", location=spec.location, detail=brief(error)) from error
    location = str(table.table_uri).removeprefix("file://")
    refuse_forbidden(replace(spec, location=location))
    return DeltaFiles(spec, location, _lent(table.io_config))


def _has_vectors(table: DeltaTable) -> bool:
    """Databricks switches the feature on for every new table: most of them have it and no vector."""
    try:
        return any(len(batch) for batch in pa.table(table.deletion_vectors()).to_batches())
    except DeltaError:  # one that delta-rs cannot read is one all the same
        return True


def _partition(action: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return action.get("partition") or action.get("partition_values")


def _lent(io_config: Any) -> dict[str, str]:
    s3 = getattr(io_config, "s3", None)
    if s3 is None or s3.key_id is None:
        return {}
    return {"key": s3.key_id, "secret": s3.access_key, "token": s3.session_token or ""}


def _for_fsspec(lent: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in lent.items() if value}


def _for_delta(lent: Mapping[str, str]) -> dict[str, str]:
    """delta-rs reads AWS_* from the environment itself, but for the endpoint's newer name and plain http."""
    names = {"key": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY", "token": "AWS_SESSION_TOKEN"}
    options = {names[name]: value for name, value in lent.items() if value}
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        options["AWS_ENDPOINT_URL"] = endpoint
        options["AWS_ALLOW_HTTP"] = str(endpoint.startswith("http://")).lower()
    return options
