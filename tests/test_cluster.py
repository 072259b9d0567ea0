"""The servers that tests are made with: they are what they claim to be, and they end when they should."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import Cluster, ServerError
from cluster.certificates import Certificates
from cluster.ports import free_ports, is_free


def is_alive(pid):
    """Whether there is such a process, other than as a zombie."""
    try:
        return state(Path(f"/proc/{pid}")) != "Z"
    except FileNotFoundError:
        return False


def state(process):
    """The letter of what a process or a thread does. The name before it may hold a blank: proc(5)."""
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


def await_that(condition, seconds=10.0):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds


def info(cluster, node=0):
    """The line with which a server greets."""
    with socket.create_connection(("127.0.0.1", cluster.servers[node].port), timeout=5) as plain:
        return plain.makefile("rb").readline()


@pytest.mark.parametrize("nodes", [1, 3])
def test_nodes_sync_always_and_know_each_other(nodes):
    with Cluster(nodes) as cluster:
        told = [server.ask("varz") for server in cluster.servers]
        meta = cluster.servers[-1].ask("jsz").get("meta_cluster", {})

        assert all(each["jetstream"]["config"]["sync_always"] for each in told)
        assert [each["server_name"] for each in told] == [server.name for server in cluster.servers]
        assert meta.get("cluster_size", 1) == nodes
        assert cluster.url("s") == "nats://" + ",".join(url[7:] for url in cluster.urls) + "/s"
        assert len(set(cluster.urls + cluster.monitors)) == 2 * nodes


def test_a_lazy_one_says_so():
    with Cluster(1, sync="lazy") as cluster:
        assert not cluster.servers[0].ask("varz")["jetstream"]["config"].get("sync_always")


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_ended_node_is_gone_and_comes_back_where_it_was(end):
    with Cluster(3) as cluster:
        pid = cluster.servers[1].pid
        getattr(cluster, end)(1)
        assert not is_alive(pid)
        assert not cluster.is_ready
        assert cluster.servers[1].ask("varz") is None
        with pytest.raises(ServerError, match="does not run"):
            _ = cluster.servers[1].pid
        urls = cluster.urls
        cluster.restart()
        cluster.wait_until_ready()

        assert cluster.servers[1].pid != pid
        assert cluster.urls == urls


def test_a_stopped_node_says_goodbye_and_a_killed_one_does_not(tmp_path):
    with Cluster(2, folder=tmp_path / "kept") as cluster:
        cluster.stop(0)
        cluster.kill(1)
        logs = [(server.folder / "log").read_text() for server in cluster.servers]

    assert ["Server Exiting" in log for log in logs] == [True, False]


def test_a_paused_node_stands_still_until_it_goes_on():
    with Cluster(1) as cluster:
        cluster.pause()
        assert cluster.servers[0].is_paused
        with (
            pytest.raises(TimeoutError),
            socket.create_connection(("127.0.0.1", cluster.servers[0].port), timeout=0.3) as plain,
        ):
            plain.recv(1)
        cluster.restart()

        assert info(cluster).startswith(b"INFO ")
        assert not cluster.servers[0].is_paused


@contextlib.contextmanager
def busy_processors():
    """Twice as many programs as processors that have always something to do."""
    programs = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def test_no_thread_of_a_paused_node_runs_when_pause_returns():
    with Cluster(1) as cluster, busy_processors():
        threads = Path(f"/proc/{cluster.servers[0].pid}/task")
        if not threads.exists():
            pytest.skip("the system does not tell what its threads do")
        for _ in range(50):
            cluster.pause()
            states = [state(thread) for thread in threads.iterdir()]
            cluster.resume()

            assert states
            assert set(states) == {"T"}


def test_a_stream_has_a_leader_and_another_one_when_that_is_killed():
    """`wait_until_ready` waits for it."""
    nats = pytest.importorskip("nats")

    async def make(cluster):
        client = await nats.connect(cluster.urls)
        await client.jetstream().add_stream(name="S", subjects=["s"], num_replicas=3)
        await client.close()

    with Cluster(3) as cluster:
        assert cluster.leader("S") is None
        asyncio.run(make(cluster))
        cluster.wait_until_ready()
        first = cluster.leader("S")
        cluster.kill(first)
        assert await_that(lambda: cluster.leader("S") not in (None, first), seconds=30)
        cluster.restart()
        cluster.wait_until_ready()

        assert cluster.leader("S") is not None
        assert cluster.leader("T") is None


def test_settings_of_the_servers_are_those_that_were_given():
    with Cluster(1, settings={"max_payload": 4096}) as cluster:
        assert cluster.servers[0].ask("varz")["max_payload"] == 4096


def test_a_paused_node_can_be_stopped_and_killed():
    with Cluster(2) as cluster:
        cluster.pause()
        cluster.stop(0)
        cluster.kill(1)

        assert not any(server.is_running or server.is_paused for server in cluster.servers)


def test_files_are_removed_unless_a_folder_was_named(tmp_path):
    with Cluster(1) as temporary, Cluster(1, folder=tmp_path / "kept") as kept:
        pids = [cluster.servers[0].pid for cluster in (temporary, kept)]

    assert not any(map(is_alive, pids))
    assert not temporary.folder.exists()
    assert (kept.folder / "node-0" / "log").exists()


def test_a_server_that_does_not_start_says_why():
    with pytest.raises(ServerError, match=r"ended by itself, with code 1: .*server.json:9.*int64"):
        Cluster(1, settings={"max_payload": "much"}).start()


def test_a_node_that_ended_by_itself_is_told():
    with Cluster(2) as cluster:
        os.kill(cluster.servers[0].pid, signal.SIGKILL)

        with pytest.raises(ServerError, match="ended by itself, with code -9"):
            cluster.wait_until_ready()


def test_what_never_gets_ready_is_given_up():
    with Cluster(3) as cluster:
        cluster.kill(0)
        with pytest.raises(ServerError, match="not all of"):
            cluster.wait_until_ready(0.2)


@pytest.mark.skipif(sys.platform != "linux", reason="no signal tells of a parent's end")
@pytest.mark.parametrize("is_paused", [False, True])
def test_servers_die_with_the_process_that_started_them(is_paused):
    """Killed with kill -9, so that it can clean up nothing."""
    script = "import sys; from cluster import Cluster\n"
    script += "cluster = Cluster(2).start()\n"
    script += "cluster.pause()\n" if is_paused else ""
    script += "print(*(server.pid for server in cluster.servers), cluster.folder, flush=True)\n"
    script += "sys.stdin.read()"
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=there) as parent:
        *pids, folder = parent.stdout.readline().decode().split()
        assert all(is_alive(int(pid)) for pid in pids)
        parent.kill()

    assert await_that(lambda: not any(is_alive(int(pid)) for pid in pids))
    shutil.rmtree(folder)


def test_accounts_let_in_who_has_a_password():
    with Cluster(1, accounts=True) as cluster:
        assert b'"auth_required":true' in info(cluster)
        assert cluster.url("s").startswith("nats://writer:a-password@127.0.0.1:")
        assert cluster.system_url.startswith("nats://administrator:another-password@127.0.0.1:")
    with Cluster(1) as cluster:
        assert b'"auth_required":true' not in info(cluster)
        with pytest.raises(ValueError, match="no administrator"):
            _ = cluster.system_url


@pytest.mark.parametrize("tls", [True, "mutual"])
def test_tls_is_spoken_with_certificates_made_for_it(tls):
    with Cluster(1, tls=tls) as cluster:
        context = ssl.create_default_context(cafile=cluster.certificates.ca)
        if tls == "mutual":
            context.load_cert_chain(*cluster.certificates.issue("client"))
        with socket.create_connection(("127.0.0.1", cluster.servers[0].port), timeout=5) as plain:
            greeting = b""
            while not greeting.endswith(b"\r\n"):  # not a byte of what comes behind it
                greeting += plain.recv(1)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as secret:
                secret.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
                answer = secret.recv(100)

    assert b'"tls_required":true' in greeting
    assert (b'"tls_verify":true' in greeting) == (tls == "mutual")
    assert answer.startswith(b"PONG")


def test_mutual_tls_wants_the_clients_certificate():
    with Cluster(1, tls="mutual") as cluster:
        context = ssl.create_default_context(cafile=cluster.certificates.ca)
        with socket.create_connection(("127.0.0.1", cluster.servers[0].port), timeout=5) as plain:
            while plain.recv(1) != b"\n":
                pass
            secret = context.wrap_socket(plain, server_hostname="127.0.0.1")
            with secret, pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
                secret.recv(100)


def test_certificates_of_another_authority_are_not_believed(tmp_path):
    mine, other = Certificates(tmp_path / "mine"), Certificates(tmp_path / "other")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*mine.issue("server"))

    def greet(ca):
        client = ssl.create_default_context(cafile=ca)
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = client.wrap_bio(back, there, server_hostname="localhost")
        theirs = server.wrap_bio(there, back, server_side=True)
        for side in (ours, theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue

    greet(mine.ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(other.ca)


def test_ports_are_different_free_and_out_of_the_way():
    """Of connections that other programs make, which get theirs from 32768 on."""
    ports = free_ports(50)

    assert len(set(ports)) == 50
    assert max(ports) < 32_768
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()

        assert not is_free(ports[0])
    assert is_free(ports[0])
