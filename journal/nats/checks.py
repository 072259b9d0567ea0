"""Whether a cluster can hold a store: its version, its streams' settings, what it promises of its disks."""

import asyncio
import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from typing import Any, Final

import msgspec

from journal.backend import Missing, Promise, Unreachable
from journal.nats.address import Address, parse
from journal.nats.client import Incoming
from journal.nats.connection import Connection
from journal.nats.layout import Layout
from journal.nats.stream import Refused, ask_api
from journal.nats.subject import new_id

OLDEST: Final = (2, 11)  # the first that answers a direct get with many messages
_NOT_ENABLED = 10039
_TOO_FEW_SERVERS = (10005, 10074)
_OTHER_SETTINGS = 10058
_SECONDS: Final = 2.0
# Servers tell each other every second that they are there.
_SILENT_NS: Final = 2_500_000_000
_SECONDS_UNTIL_DOWN: Final = 15.0
_PAUSE_SECONDS: Final = 0.2

# What a server tells about itself has some thousand.
_MOST_BYTES: Final = 1024 * 1024

Info = Mapping[str, Any]


class _Config(msgspec.Struct):
    sync_always: bool = False


class _JetStream(msgspec.Struct):
    config: _Config | None = None


class _Told(msgspec.Struct):
    """What a server tells about itself, as far as it is of use here."""

    server_name: str
    jetstream: _JetStream | None = None


class _Answer(msgspec.Struct):
    data: _Told


def check_version(connection: Connection) -> None:
    """Raise Unreachable where the server is too old."""
    version = connection.server.get("version", "")
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise Unreachable(
            f"nats-server {version} is too old for a store: version {oldest} or later is needed"
        )


async def check_jetstream(connection: Connection) -> None:
    """Raise Unreachable where JetStream is not there for this user."""
    advice = 'put `jetstream { store_dir: "…", sync_interval: "always" }` into the settings of the servers'
    if not connection.server.get("jetstream") and not connection.server.get("cluster"):
        raise Unreachable(f"the server has no JetStream: {advice}")
    try:
        await ask_api(connection, "INFO")
    except Refused as error:
        if error.code == _NOT_ENABLED:
            raise Unreachable("JetStream is not enabled for this user's account: enable it there") from error
        raise


async def open_streams(connection: Connection, layout: Layout) -> list[Info]:
    """What the server says about each of the store's streams, which are made where they are not there."""
    wanted = layout.settings()
    # The journals' first: without it there is no store, whatever else is missing.
    journals, *rest = wanted
    first = await _open_stream(connection, journals, wanted[journals])
    return [first, *await asyncio.gather(*(_open_stream(connection, name, wanted[name]) for name in rest))]


async def _open_stream(connection: Connection, name: str, wanted: Mapping[str, object]) -> Info:
    address = connection.address
    info = await ask_api(connection, f"STREAM.INFO.{name}")
    if not info:
        if not address.may_create:
            if name != address.name:  # of a store that is there
                raise Unreachable(f"there is no stream {name}: open the store once with create=True")
            raise Missing(f"there is no store {name!r}: check the name, or open one with create=True")
        info = await _create(connection, name, wanted)
    config = info["config"]
    for key, value in {**wanted, "num_replicas": address.replicas or config["num_replicas"]}.items():
        if (found := config.get(key)) != value and (found or value):
            raise Unreachable(
                f"the stream {name} is there with {key}={json.dumps(found)}, and the store needs "
                f"{json.dumps(value)}: change it with `nats stream edit`, or choose another name"
            )
    return info


async def _create(connection: Connection, name: str, wanted: Mapping[str, object]) -> dict[str, Any]:
    replicas = connection.address.replicas or (3 if connection.server.get("cluster") else 1)
    try:
        return await ask_api(connection, f"STREAM.CREATE.{name}", name=name, num_replicas=replicas, **wanted)
    except Refused as error:
        if error.code == _OTHER_SETTINGS:  # somebody else made it meanwhile
            return await ask_api(connection, f"STREAM.INFO.{name}")
        if error.code not in _TOO_FEW_SERVERS:
            raise
        raise Unreachable(
            f"the stream {name} cannot be kept on {replicas} servers, {error}: start them, or say replicas=1"
        ) from error


async def find_promise(connection: Connection, streams: Iterable[Info]) -> Promise:
    """What the servers that hold the streams promise, as far as anybody tells.

    One that is down cannot be asked. It counts as the others do: most of them are there, and they were asked.
    """
    infos = list(streams)
    replicas: int = infos[0]["config"]["num_replicas"]
    kept = "on 1 server" if replicas == 1 else f"on {replicas} servers, acknowledged by most of them"
    until = time.monotonic() + min(_SECONDS_UNTIL_DOWN, connection.timeout)
    while True:
        holding = set().union(*(_servers(info, connection) for info in infos))
        syncing, has_failed = await _find_syncing(connection.address, holding)
        down = set().union(*map(_down, infos)) - syncing.keys()
        unknown = holding - syncing.keys() - down
        # Who was killed this moment is not known to be down yet.
        if not (unknown and has_failed) or time.monotonic() >= until:
            break
        await asyncio.sleep(_PAUSE_SECONDS)
        names = [info["config"]["name"] for info in infos]
        infos = await asyncio.gather(*(ask_api(connection, f"STREAM.INFO.{name}") for name in names))
    instead = 'or say durability="os": then it survives crashes, and may not survive a power cut of all'
    if unknown:
        return Promise(
            "os",
            replicas,
            f"kept {kept}; whether it is on the disk of {_list(unknown)} before that is not known, users are "
            f'not told: say monitor="http://host:8222" or system="nats://admin:password@host", {instead}',
        )
    if lazy := {name for name in holding & syncing.keys() if not syncing[name]}:
        return Promise(
            "os",
            replicas,
            f"kept {kept}; it comes to the disk of {_list(lazy)} some time later: put "
            f'`sync_interval: "always"`, with the quotes, into their `jetstream` settings, {instead}',
        )
    rest = f"; {_list(down)}, down now, could not be asked" if down else ""
    return Promise("disk", replicas, f"kept {kept}, and on their disks before they acknowledge it{rest}")


def _servers(info: Info, connection: Connection) -> set[str]:
    """The names of the servers that hold a stream."""
    cluster = info.get("cluster") or {}
    names = {cluster.get("leader"), *(each["name"] for each in cluster.get("replicas") or ())} - {None}
    return names or {connection.server["server_name"]}


def _down(info: Info) -> set[str]:
    """The servers that hold a stream and do not take part now, as its leader knows."""
    replicas = (info.get("cluster") or {}).get("replicas") or ()
    return {each["name"] for each in replicas if each.get("offline") or each["active"] > _SILENT_NS}


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


async def _find_syncing(address: Address, holding: set[str]) -> tuple[dict[str, bool], bool]:
    """Whether the servers write to their disks before they acknowledge: those that tell.

    And whether one did not that was asked. Raises Unreachable where none did.
    """
    asked = await asyncio.gather(*(asyncio.to_thread(_ask_monitor, url) for url in address.monitor))
    told = [each for each in asked if not isinstance(each, Unreachable)]
    failed = [each for each in asked if isinstance(each, Unreachable)]
    if failed and not told:
        raise failed[0]
    if address.system is not None:
        told += await _ask_as_administrator(address, holding)
    configs = {each.server_name: each.jetstream.config for each in told if each.jetstream}
    syncing = {name: config.sync_always for name, config in configs.items() if config}
    return syncing, bool(failed) or address.system is not None


def _ask_monitor(url: str) -> _Told | Unreachable:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/varz", timeout=_SECONDS) as answer:
            return msgspec.json.decode(answer.read(_MOST_BYTES), type=_Told)
    except (OSError, ValueError, HTTPException, msgspec.MsgspecError) as error:
        reason = getattr(error, "reason", error)  # of a URLError
        return Unreachable(f"monitor={url} does not tell about its server: {reason}")


async def _ask_as_administrator(address: Address, holding: set[str]) -> list[_Told]:
    """What all servers of the cluster tell about themselves, at least these."""
    try:
        administrator = Connection(parse(address.system or "", {"tls_ca": address.tls_ca}), _SECONDS)
    except ValueError as error:
        raise Unreachable(f"system=… is no URL of the cluster: {error}") from None
    told: dict[str, _Told] = {}
    are_all = asyncio.Event()

    def hear(message: Incoming) -> None:
        with contextlib.suppress(msgspec.MsgspecError):  # who does not tell is not known
            answer = msgspec.json.decode(message.data, type=_Answer).data
            told[answer.server_name] = answer
        if holding <= told.keys():
            are_all.set()

    try:
        await administrator.open()
        inbox = f"_INBOX.{new_id()}"
        await administrator.listen(inbox, hear)
        await administrator.tell("$SYS.REQ.SERVER.PING.VARZ", inbox)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await are_all.wait()
    except Unreachable as error:
        raise Unreachable(f"system=… cannot be asked: {error}") from error
    finally:
        await administrator.close()
    return list(told.values())
