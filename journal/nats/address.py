"""Where a store is and who is calling, from a URL and options. Secrets are in no error and no repr."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from journal.backend import Unreachable

DEFAULT_NAME: Final = "journal"
# The ways to log in, and what nats-py calls them
_LOGINS = {"user": "user", "token": "token", "credentials": "user_credentials", "nkey_seed": "nkeys_seed_str"}
_TEXTS = (*_LOGINS, "password", "tls_ca", "tls_cert", "tls_key", "monitor", "system")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True)
class Address:
    """Servers of a cluster, a store in it, and how to be let in.

    servers      host and port of each
    name         the store's
    is_tls       nothing is said before the connection is encrypted
    login        what nats-py takes: user and password, token, user_credentials, nkeys_seed_str
    tls_ca       a file of certificates to trust; else those that the system trusts
    tls_cert     the file of our own certificate, and tls_key of its key
    replicas     on how many servers it is kept; None: 3 where there are as many, else 1
    monitor      URLs at which the servers tell about themselves
    system       URL with the password of the administrator, who may ask all servers
    may_create   whether to make the store if it is not there
    """

    servers: tuple[tuple[str, int], ...]
    name: str
    is_tls: bool = False
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    replicas: int | None = None
    monitor: tuple[str, ...] = ()
    system: str | None = field(default=None, repr=False)
    may_create: bool = True

    def __str__(self) -> str:
        scheme = "tls" if self.is_tls else "nats"
        return f"{scheme}://{','.join(host_and_port(*server) for server in self.servers)}/{self.name}"

    def tls(self) -> ssl.SSLContext | None:
        """How to encrypt, where anything says so. Raises Unreachable."""
        if not (self.is_tls or self.tls_ca or self.tls_cert):
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key)
        except OSError as error:  # what is in a file is an SSLError, which is one
            files = ", ".join(filter(None, (self.tls_ca, self.tls_cert, self.tls_key)))
            raise Unreachable(f"the certificates in {files} cannot be used: {error}") from error
        return context


def parse(url: str, options: Mapping[str, Any]) -> Address:
    """`nats://user:password@host:4222,host2/NAME?replicas=3`, and options, which win. Raises ValueError."""
    split, given_there = _split(url)
    if split.scheme not in ("nats", "tls"):
        raise ValueError("the URL of a store on NATS begins with nats:// or tls://")
    login, _, hosts = split.netloc.rpartition("@")
    asked = {
        **given_there,
        **{key: each for key, each in options.items() if each is not None},
    }
    if login:
        user, colon, password = login.partition(":")
        given = {"user": unquote(user), "password": unquote(password)} if colon else {"token": unquote(user)}
        asked = {**given, **asked}
    texts = {key: str(asked.pop(key)) for key in _TEXTS if key in asked}
    replicas, create = asked.pop("replicas", None), asked.pop("create", True)
    if asked:
        known = ", ".join((*_TEXTS, "replicas", "create"))
        raise ValueError(f"a store on NATS knows no option {', '.join(sorted(asked))}; it knows {known}")
    name = unquote(split.path.strip("/")) or DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a store on NATS: letters, digits, - and _ are")
    return Address(
        tuple(_server(host) for host in hosts.split(",")),
        name,
        is_tls=split.scheme == "tls",
        login=_login(texts),
        tls_ca=texts.get("tls_ca"),
        tls_cert=texts.get("tls_cert"),
        tls_key=texts.get("tls_key"),
        replicas=None if replicas is None else _count(replicas),
        monitor=_monitors(texts.get("monitor", "")),
        system=texts.get("system"),
        may_create=_truth("create", create),
    )


def _truth(option: str, value: object) -> bool:
    try:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            str(value).lower()
        ]
    except KeyError:
        raise ValueError(f"{option}={value!r}: it is true or false") from None


def _split(url: str) -> tuple[SplitResult, dict[str, str]]:
    """A URL's parts, and its options. Where they are cut amiss, a part of a password stands anywhere."""
    try:
        split = urlsplit(url)
        options = dict(parse_qsl(split.query, strict_parsing=bool(split.query)))
        if split.fragment or "@" in split.path:
            raise ValueError
    except ValueError:
        raise ValueError(
            "this is no URL of a store: nats://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE, where USER and "
            "PASSWORD are percent-encoded, %2F for /, %3F for ?, %23 for #, %40 for @"
        ) from None
    return split, options


def _server(host: str) -> tuple[str, int]:
    """The host and port of one server."""
    try:
        split = urlsplit(f"//{host}")
        found = split.hostname, split.port or 4222
    except ValueError:
        found = None, 0
    if found[0] is None:
        where = host.partition(":")[0]  # what follows may be a password that lacks its @
        raise ValueError(f"what begins with {where!r} is no server: give host:port, or several with commas")
    return found[0], found[1]


def _monitors(urls: str) -> tuple[str, ...]:
    found = tuple(url.strip() for url in urls.split(",") if url.strip())
    if not all(re.fullmatch(r"https?://[^@\s]+", url) for url in found):
        raise ValueError(
            "monitor= takes what begins with http:// or https://, with commas between, and no password"
        )
    return found


def host_and_port(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _login(texts: Mapping[str, str]) -> dict[str, str]:
    chosen = [way for way in _LOGINS if way in texts]
    if len(chosen) > 1:
        raise ValueError(f"{' and '.join(chosen)} are several ways to log in: give one of them")
    if ("user" in texts) != ("password" in texts):
        raise ValueError("user and password go together: one of them is missing")
    login = {_LOGINS[way]: texts[way] for way in chosen}
    return {**login, "password": texts["password"]} if "password" in texts else login


def _count(replicas: object) -> int:
    if str(replicas) not in ("1", "3", "5"):
        raise ValueError(f"replicas={replicas!r}: a store is kept on 1, 3 or 5 servers")
    return int(str(replicas))
