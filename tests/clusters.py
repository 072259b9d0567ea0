"""Servers for tests: one node and three, started once for all tests of a process when one asks for them.

`tests/conftest.py` hands them to all tests. Tests share the servers: each names its own store with
`store_name`, and one that kills a node, or needs other settings, starts a cluster of its own.
"""

from collections.abc import Iterator
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
