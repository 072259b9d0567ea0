"""The commands that make what others can check: key, seal, prove."""

import json
import os
from typing import TYPE_CHECKING

import click

from journal.cli.address import is_session, locate, parse_address, require
from journal.cli.app import NOT_FOUND, Call, command, with_global_options
from journal.cli.app import app as root
from journal.cli.text import visible_lines

if TYPE_CHECKING:
    from datetime import datetime

    from journal.note import SigningKey, VerifierKey
    from journal.seal import Seal

# A key is a line.
_MAX_KEY_BYTES = 16 * 1024


class FileMissing(click.ClickException):
    """There is no such file."""

    exit_code = NOT_FOUND


@root.group("key", no_args_is_help=True)
@with_global_options
def key_group(**options: object) -> None:
    """Keys to sign seals with: a private one, and the public one that verifies."""


@command("new", key_group)
@click.argument("name", metavar="NAME")
@click.option("-o", "--output", metavar="FILE", help="The private key's file; else the end of NAME, .key.")
def new_command(call: Call, name: str, output: str | None) -> None:
    """Make a key pair: the private key into a file of yours alone, the public key to stdout.

    NAME says who signs; best is an address that is yours, as example.com/audit. A file that is there already
    is never replaced.
    """
    from journal.note import SigningKey

    key = SigningKey.new(name)
    path = output or f"{name.rstrip('/').rpartition('/')[2] or 'journal'}.key"
    _write_new(path, f"{key.secret()}\n".encode())
    public = str(key.verifier())
    if call.out.as_json:
        call.out.json({"name": name, "public": public, "path": path})
    else:
        call.out.line(public)
        call.out.note(f"the private key is in {path}: keep it from whoever may write the store")


@command("public", key_group)
@click.argument("path", metavar="FILE")
def public_command(call: Call, path: str) -> None:
    """Print the public key of a private one, to give to those who verify."""
    public = str(_signing_key(call, path).verifier())
    if call.out.as_json:
        call.out.json({"public": public})
    else:
        call.out.line(public)


@command("seal")
@click.argument("session_ids", metavar="[ID...]", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All sessions of the store.")
@click.option("--key", "key_path", metavar="FILE", required=True, help="The private key's file.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout; never over a file.")
def seal_command(
    call: Call, session_ids: tuple[str, ...], every: bool, key_path: str, output: str | None
) -> None:
    """Sign what the sessions' heads are now, so that a later cut or rewrite shows.

    They are verified first; with damage nothing is signed. Keep the seal where whoever writes the store
    cannot reach it. `journal verify --seal` compares.
    """
    if bool(session_ids) == every:
        raise click.UsageError("name the sessions to seal, or say --all")
    key = _signing_key(call, key_path)
    _refuse_to_replace(output)
    with call.store() as store:
        ids = list(dict.fromkeys(require(store, each) for each in session_ids))
        seal = store.seal(None if every else ids[0] if len(ids) == 1 else ids, key=key)
    text = seal.data.decode()
    if output is not None:
        _write_new(output, seal.data)
    if call.out.as_json:
        facts = {"scope": seal.scope, "sessions": len(seal.heads), "at": _time(seal), "signer": key.name}
        call.out.json(facts | ({"seal": text} if output is None else {"path": output}))
    elif output is None:
        call.out.lines((visible_lines(text) if call.out.is_terminal else text).removesuffix("\n").split("\n"))
    else:
        number = len(seal.heads)
        call.out.note(f"wrote {output}: {number:,} session{'s' * (number != 1)} sealed at {_time(seal)}")


@command("prove")
@click.argument("address", metavar="ID@POINT")
@click.option("--seal", "seal_path", metavar="FILE", required=True, help="A seal that was made later.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout; never over a file.")
def prove_command(call: Call, address: str, seal_path: str, output: str | None) -> None:
    """Write the proof that a record stood in a session when a seal was made, for somebody without the store.

    It holds the record, and of the records up to the sealed one only the headers: when, by whom, and hashes.
    """
    data = read_file(seal_path)
    _refuse_to_replace(output)
    with call.store() as store:
        where = parse_address(address, lambda each: is_session(store, each))
        require(store, where.session_id)
        if where.end is None:
            raise click.UsageError(
                f"which record? {where.session_id}@7 is one, {where.session_id}@-1 the last"
            )
        version = locate(store, where.session_id, where.end)
        proof = store.prove(where.session_id, version, seal=data)
    if output is None and call.out.as_json:
        call.out.json(json.loads(proof))
        return
    if output is None:
        call.out.pretty_json(proof.decode().removesuffix("\n"))
        return
    _write_new(output, proof)
    if call.out.as_json:
        facts = {"session_id": where.session_id, "version": version, "path": output}
        call.out.json(facts | {"size_bytes": len(proof)})
    else:
        call.out.note(f"wrote {output}, {len(proof):,} bytes; docs/reference/check_proof.py checks it")


def open_given_seal(
    path: str, key: str, *, after: "datetime | None" = None, versions: dict[str, int] | None = None
) -> "Seal":
    """The seal in a file, signed by the key that was given. Raises SealError, InvalidKeyError."""
    from journal.errors import SealError
    from journal.seal import open_seal

    known, data = _verifier_key(key), read_file(path)
    try:
        seal = open_seal(data, known)
        seal.expect(after=after, versions=versions)
    except SealError as error:
        raise SealError(f"{path}: {error}") from None
    return seal


def _verifier_key(given: str) -> "VerifierKey":
    """A public key, or the one in a file."""
    from journal.note import VerifierKey

    text = given if given.count("+") >= 2 and not os.path.exists(given) else _read_text(given)
    return VerifierKey.parse(text.strip())


def _signing_key(call: Call, path: str) -> "SigningKey":
    """The private key in a file; others should not be able to read it."""
    from journal.note import SigningKey

    if path.startswith("PRIVATE+KEY+"):
        raise click.UsageError("give the file that holds the private key: a command line is no place for it")
    key = SigningKey.parse(_read_text(path).strip())
    if os.stat(path).st_mode & 0o077:
        call.out.warning(f"others may read the private key {path}; chmod 600 it, or make another")
    return key


def _read_text(path: str) -> str:
    data = read_file(path, at_most=_MAX_KEY_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} holds no key") from None


def read_file(path: str, *, at_most: int | None = None) -> bytes:
    """The bytes of a file that was named; no more than a seal may have. Raises FileMissing, UsageError."""
    from journal.seal import MAX_SEAL_BYTES

    limit = at_most or MAX_SEAL_BYTES
    if not os.path.exists(path):
        raise FileMissing(f"{path}: there is no such file")
    if os.path.isdir(path):
        raise click.UsageError(f"{path!r} is a folder")
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise click.UsageError(f"{path} is over {limit:,} bytes long: it is something else")
    return data


def _refuse_to_replace(path: str | None) -> None:
    if path is not None and os.path.lexists(path):
        raise click.UsageError(f"{path} is there already, and is not replaced; choose another name")


def _write_new(path: str, data: bytes) -> None:
    """Write a file that was not there, for its owner alone; on disk when this returns, or not there."""
    _refuse_to_replace(path)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise click.UsageError(f"{path} is there already, and is not replaced; choose another name") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(path)
        raise


def _time(seal: "Seal") -> str:
    from journal.seal import moment_text

    return moment_text(seal.at)
