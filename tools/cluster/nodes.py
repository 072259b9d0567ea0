"""A cluster of servers on loopback: one node, or several that replicate."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from cluster.ports import free_ports
from cluster.server import Server, ServerError

if TYPE_CHECKING:
    from cluster.certificates import Certificates

READY_WITHIN_SECONDS = 30.0
_LOOKS_EVERY_SECONDS = 0.02
USER, SYSTEM = ("writer", "a-password"), ("administrator", "another-password")


class Cluster:
    """Servers that end with the `with` block, or with this process, however it ends.

    nodes     how many; one is a server alone
    sync      "always": on disk before it is acknowledged; "lazy": as nats-server comes, every two minutes
    folder    where their files are, and stay; else a temporary one
    accounts  a user (USER) whose account has JetStream, and an administrator (SYSTEM) of the system account;
              else whoever comes is let in
    tls       clients must speak TLS, with `certificates`; "mutual": and show one
    settings  more of nats-server's settings, for all of them
    """

    def __init__(
        self,
        nodes: int = 3,
        *,
        sync: Literal["always", "lazy"] = "always",
        folder: Path | None = None,
        accounts: bool = False,
        tls: Literal["mutual"] | bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="journal-cluster-")) if folder is None else folder
        self.accounts = accounts
        self.certificates = _certificates(self.folder / "certificates") if tls else None
        common = {**self._security(tls), **(settings or {})}
        ports = free_ports(3 * nodes)
        routes = [f"nats://127.0.0.1:{port}" for port in ports[2 * nodes :]]
        cluster_name = f"journal-{token_hex(4)}"
        self.servers = []
        for node in range(nodes):
            folder = self.folder / f"node-{node}"
            own: dict[str, Any] = {"jetstream": {"store_dir": str(folder / "data")}}
            if sync == "always":
                own["jetstream"]["sync_interval"] = "always"
            if nodes > 1:
                listen = routes[node].removeprefix("nats://")
                own["cluster"] = {"name": cluster_name, "listen": listen, "routes": routes}
            name = f"{cluster_name}-{node}"
            self.servers.append(Server(name, folder, ports[node], ports[nodes + node], {**own, **common}))

    def _security(self, tls: Literal["mutual"] | bool) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if self.accounts:
            settings["accounts"] = {
                "JOURNAL": {"jetstream": "enabled", "users": [_credentials(USER)]},
                "ADMINISTRATION": {"users": [_credentials(SYSTEM)]},
            }
            settings["system_account"] = "ADMINISTRATION"
        if self.certificates is not None:
            certificate, key = self.certificates.issue("server")
            settings["tls"] = {
                "cert_file": str(certificate),
                "key_file": str(key),
                "ca_file": str(self.certificates.ca),
                "verify": tls == "mutual",
            }
        return settings

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start all; return when streams can be made on them."""
        try:
            for server in self.servers:
                server.start()
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End all of them, and remove their files where those are temporary."""
        with ExitStack() as stack:  # each of them, whatever comes of the others
            if self._temporary:
                stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for server in self.servers:
                stack.callback(server.kill)

    # Where they are

    @property
    def urls(self) -> list[str]:
        """Where clients connect to, one URL a node, with nobody's password."""
        return [f"{self._scheme}://127.0.0.1:{server.port}" for server in self.servers]

    @property
    def monitors(self) -> list[str]:
        """Where the nodes tell about themselves."""
        return [server.monitor for server in self.servers]

    def url(self, store: str = "") -> str:
        """A store on all of the nodes, as `StateStore.connect` takes it, with the user's password."""
        path = f"/{store}" if store else ""
        return f"{self._scheme}://{self._login(USER)}{self._hosts}{path}"

    @property
    def system_url(self) -> str:
        """For the administrator. Raises ValueError where there are no accounts."""
        if not self.accounts:
            raise ValueError("a cluster without accounts has no administrator: Cluster(accounts=True)")
        return f"{self._scheme}://{self._login(SYSTEM)}{self._hosts}"

    @property
    def _scheme(self) -> str:
        return "nats" if self.certificates is None else "tls"

    @property
    def _hosts(self) -> str:
        return ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def _login(self, who: tuple[str, str]) -> str:
        return "{}:{}@".format(*who) if self.accounts else ""

    # What happens to them

    def kill(self, *nodes: int) -> None:
        """Kill these nodes with kill -9, or all."""
        for server in self._chosen(nodes):
            server.kill()

    def stop(self, *nodes: int) -> None:
        """Stop these nodes with SIGTERM, or all, one after the other."""
        for server in self._chosen(nodes):
            server.stop()

    def pause(self, *nodes: int) -> None:
        """Let these nodes, or all, stand still."""
        for server in self._chosen(nodes):
            server.pause()

    def resume(self, *nodes: int) -> None:
        """Let these nodes, or all, go on."""
        for server in self._chosen(nodes):
            server.resume()

    def restart(self, *nodes: int) -> None:
        """Start those of these nodes, or of all, that do not run; paused ones go on. Does not wait."""
        for server in self._chosen(nodes):
            if server.is_running:
                server.resume()
            else:
                server.start()

    def _chosen(self, nodes: tuple[int, ...]) -> list[Server]:
        return [self.servers[node] for node in nodes] if nodes else list(self.servers)

    def leader(self, stream: str) -> int | None:
        """The node that leads a stream; None while there is none, or it is not known."""
        for server in self.servers:
            for detail in _streams(server.ask("jsz?streams=1&accounts=1")):
                leader = detail.get("cluster", {}).get("leader")
                if detail["name"] == stream and leader in self._names:
                    return self._names.index(leader)
        return None

    @property
    def _names(self) -> list[str]:
        return [server.name for server in self.servers]

    def wait_until_ready(self, seconds: float = READY_WITHIN_SECONDS) -> None:
        """Wait until `is_ready`. Raises ServerError where a node ended by itself, or the time was up."""
        end = time.monotonic() + seconds
        while not self.is_ready:
            for server in self.servers:
                if ended := server.has_ended():
                    raise ServerError(ended)
            if time.monotonic() > end:
                raise ServerError(f"after {seconds:.0f} s not all of {', '.join(self._names)} are ready")
            time.sleep(_LOOKS_EVERY_SECONDS)

    @property
    def is_ready(self) -> bool:
        """Whether all nodes answer, know one leader, and that of each stream, and have caught up with it."""
        told = [server.ask("jsz?streams=1&accounts=1") for server in self.servers]
        if len(self.servers) > 1:
            leaders = {(each or {}).get("meta_cluster", {}).get("leader") for each in told}
            if len(leaders) > 1 or not leaders <= set(self._names):
                return False
            for each in told:
                if not all(detail.get("cluster", {}).get("leader") for detail in _streams(each)):
                    return False
        return all((server.ask("healthz") or {}).get("status") == "ok" for server in self.servers)


def _certificates(folder: Path) -> "Certificates":
    # The tests of adapters have these servers, too, and no package `cryptography`.
    from cluster.certificates import Certificates

    return Certificates(folder)


def _streams(told: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The streams of which a node tells, of all accounts."""
    for account in (told or {}).get("account_details", ()):
        yield from account.get("stream_detail", ())


def _credentials(who: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("user", "password"), who, strict=True))
