"""Real NATS servers on loopback, alone or as a cluster, that live no longer than whoever started them."""

from cluster.nodes import Cluster
from cluster.server import Server, ServerError

__all__ = ["Cluster", "Server", "ServerError"]
