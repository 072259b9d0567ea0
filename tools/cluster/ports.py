"""Ports of loopback that nobody uses, and that nobody gets by chance while a server of ours is down."""

import socket
from random import SystemRandom

# Below those that systems hand out to outgoing connections (32768 and up): a node that is started again
# must find its port free.
_RANGE = range(20_000, 32_000)
_random = SystemRandom()


def free_ports(count: int) -> list[int]:
    """So many different ports, all free a moment ago. Raises OSError where there are not so many."""
    found: list[int] = []
    for port in _random.sample(_RANGE, len(_RANGE)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise OSError(f"no {count} free ports of 127.0.0.1 in {_RANGE}")


def is_free(port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        # As the servers do: what a connection that was closed left behind is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
