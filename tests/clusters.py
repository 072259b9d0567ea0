"""Servers for tests: one node and three, started once for all tests of a process when one asks for them.

`tests/conftest.py` hands them to all tests. Tests share the servers: each names its own store with
`store_name`, and one that kills a node, or needs other settings, starts a cluster of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from cluster import Cluster


@pytest.fixture(scope="session")
def one_node() -> Iterator[Cluster]:
    """A server alone, which syncs always."""
    with Cluster(1) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[Cluster]:
    """Three servers that replicate and sync always."""
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def store_name() -> str:
    """A name for a store that no other test has."""
    return f"test-{uuid4().hex[:12]}"


SERVERS = ["one_node", "three_nodes"]


def _place(request: pytest.FixtureRequest, folder: Path, name: str) -> str:
    if request.param == "files":
        return str(folder)
    if request.param == "memory":
        return f"memory:{name}"
    cluster: Cluster = request.getfixturevalue(request.param)
    return cluster.url(name)


@pytest.fixture(params=["files", "memory", *SERVERS])
def place(request: pytest.FixtureRequest, folder: Path, store_name: str) -> str:
    """The URL of a new store: for each test, one after the other, all kinds that there are."""
    return _place(request, folder, store_name)


@pytest.fixture(params=["files", *SERVERS])
def open_place(request: pytest.FixtureRequest, folder: Path, store_name: str) -> str:
    """As `place`, of those kinds that several processes may share."""
    return _place(request, folder, store_name)
