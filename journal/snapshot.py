"""Reading a session's snapshot, and replacing it atomically."""

import errno
from datetime import UTC
from typing import Final

import msgspec
import orjson
from msgspec import Struct

from journal.disk import MAX_WHOLE_BYTES, Disk, close, read_file, replace_file
from journal.errors import CorruptSnapshotError, InvalidEventError, UnsafePathError
from journal.event_json import check_json
from journal.reader import Position
from projections.document import MAX_METADATA_DEPTH, SessionDocument, parse_document
from projections.messages import AgentResponse, UserMessage
from projections.session import Session, SessionProjection

FOLD = f"{SessionProjection.name}/{SessionProjection.version}"


class Marker(Struct, kw_only=True):
    """Which point of the journal a snapshot stands for, and which fold made it."""

    version: int
    offset: int
    chain: str
    fold: str

    def position(self) -> Position:
        """The place in the journal behind the snapshot."""
        return Position(self.version, self.chain.encode(), self.offset)

    def stands_for_more(self, offset: int) -> bool:
        """Whether it is of this library's fold, and claims records behind a byte of the journal."""
        return self.fold == FOLD and self.offset > offset


class _Marked(SessionDocument, kw_only=True):
    journal: Marker


class _OnlyMarker(Struct):
    journal: Marker


# More than a marker takes at the end of a snapshot.
_MARKER_BYTES: Final = 1024
_decode = msgspec.json.Decoder(_Marked).decode


class Snapshot(Struct, kw_only=True):
    """A snapshot file: its session, and its marker where this library wrote it."""

    session: Session
    marker: Marker | None
    size_bytes: int
    text: bytes


def read_snapshot(disk: Disk, path: str) -> Snapshot | None:
    """The snapshot at a path, None where there is none.

    Raises CorruptSnapshotError where the file is no session, OSError where the disk does not give it.
    """
    try:
        data = read_file(disk, path)
    except OSError as error:
        if isinstance(error, UnsafePathError) or error.errno == errno.EFBIG:
            raise CorruptSnapshotError(path, str(error.strerror)) from error
        raise  # the disk is to blame: the file may be a good one
    if data is None:
        return None
    document: SessionDocument
    marker: Marker | None
    try:
        if not data.isascii():
            data.decode()  # what msgspec passes over must be UTF-8, too
        document = marked = _decode(data)
        check_json(marked.metadata, deepest=MAX_METADATA_DEPTH + 1)  # it may hold what no file of ours does
        marker = marked.journal
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidEventError):
        marker = None
        try:
            document = parse_document(data.decode())
        except UnicodeDecodeError as error:
            raise CorruptSnapshotError(path, f"byte {error.start} is not UTF-8") from None
        except ValueError as error:
            raise CorruptSnapshotError(path, str(error)) from None
    session = Session.from_document(document)
    return Snapshot(session=session, marker=marker, size_bytes=len(data), text=data)


def read_marker(disk: Disk, path: str) -> Marker | None:
    """The marker of a snapshot of any size, without reading the rest; None where there is none."""
    fd = disk.open(path)
    try:
        tail = disk.read(fd, _MARKER_BYTES, max(disk.status_of(fd).st_size - _MARKER_BYTES, 0))
    finally:
        close(disk, fd, path)
    return marker_of(tail)


def marker_of(data: bytes) -> Marker | None:
    """The marker at the end of a snapshot's bytes; None where there is none."""
    tail = data[-_MARKER_BYTES:]
    try:
        return msgspec.json.decode(b"{" + tail[tail.rindex(b'"journal":') :], type=_OnlyMarker).journal
    except (ValueError, msgspec.MsgspecError):  # not found, not JSON, not a marker
        return None


def write_snapshot(disk: Disk, path: str, session: Session, position: Position, *, durable: bool) -> int:
    """Replace the snapshot by this session, folded up to `position`; return the size in bytes.

    The seed's keys in the seed's order and layout, then "journal", which the seed's reader ignores.
    """
    keys = _builtins(session.to_document())
    keys["journal"] = {
        "version": position.version,
        "offset": position.offset,
        "chain": position.chain.decode(),
        "fold": FOLD,
    }
    data = to_pretty_json(keys)
    if len(data) > MAX_WHOLE_BYTES:
        return len(data)  # it could not be read; the journal is enough
    replace_file(disk, path, [data], durable=durable)
    return len(data)


def document_json(session: Session) -> bytes:
    """The session as the seed's program would write it."""
    return to_pretty_json(_builtins(session.to_document()))


def to_pretty_json(value: object) -> bytes:
    """Two spaces, as the seed's program lays its files out; times in UTC with a Z."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)


def _plain(value: object) -> object:
    if isinstance(value, UserMessage | AgentResponse):
        keys = {name: getattr(value, name) for name in value.__struct_fields__}
        if value.timestamp.tzinfo is not UTC:
            keys["timestamp"] = value.timestamp.astimezone(UTC)
        return keys
    raise TypeError(type(value).__name__)


def _builtins(document: SessionDocument) -> dict[str, object]:
    keys = {name: getattr(document, name) for name in document.__struct_fields__}
    for name in ("created_at", "updated_at"):
        keys[name] = keys[name].astimezone(UTC)
    return {name: value for name, value in keys.items() if value is not msgspec.UNSET}
