"""An operator of NATS servers, an account and its user, made on the fly."""

import base64
import json
import os
import time
from typing import Any

import nkeys

_NO_LIMITS = dict.fromkeys(("subs", "data", "payload"), -1)
_ACCOUNT_LIMITS = {
    **_NO_LIMITS,
    **dict.fromkeys(
        ("imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer"), -1
    ),
    "wildcards": True,
}


def operated() -> tuple[dict[str, Any], str]:
    """A server's settings, under which a user of its account has JetStream; what that user's file says."""
    operator, account, system = (
        _key(prefix) for prefix in (nkeys.PREFIX_BYTE_OPERATOR, *[nkeys.PREFIX_BYTE_ACCOUNT] * 2)
    )
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    user = nkeys.from_seed(bytearray(seed))
    no_storage = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), 0)
    settings = {
        "operator": _sign(operator, operator, type="operator", system_account=_public(system)),
        "resolver": "MEMORY",
        "resolver_preload": {
            _public(account): _sign(operator, account, type="account", limits=_ACCOUNT_LIMITS),
            _public(system): _sign(
                operator, system, type="account", limits={**_ACCOUNT_LIMITS, **no_storage}
            ),
        },
    }
    token = _sign(account, user, type="user", pub={}, sub={}, **_NO_LIMITS)
    parts = (("NATS USER JWT", token), ("USER NKEY SEED", seed.decode()))
    text = "\n".join(f"-----BEGIN {what}-----\n{value}\n------END {what}------\n" for what, value in parts)
    return settings, text


def _key(prefix: int) -> Any:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), prefix)))


def _public(key: Any) -> str:
    name: str = key.public_key.decode()
    return name


def _sign(signer: Any, subject: Any, **about: Any) -> str:
    claims = {
        "iat": int(time.time()),
        "iss": _public(signer),
        "jti": os.urandom(16).hex(),
        "name": "a test",
        "sub": _public(subject),
        "nats": {"version": 2, **about},
    }
    signed = f"{_encode({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encode(claims)}"
    return f"{signed}.{_base64(signer.sign(signed.encode()))}"


def _encode(value: Any) -> str:
    return _base64(json.dumps(value).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
