"""What befalls a journal while others use it: it is erased, torn, damaged, set back."""

from collections.abc import Iterator
from pathlib import Path

from journal import Change, StateStore
from journal import disk as disks
from journal.chain import is_erased, outline
from journal.disk import Disk
from journal.log import Log
from journal.record import encode_batch, prepare
from projections import ContentErased
from projections.messages import utc_now


def path_of(store: StateStore, session_id: str) -> Path:
    """The journal of a session."""
    return Path(store.base_path, "sessions", f"{session_id}.jsonl")


def erase(store: StateStore, session_id: str, version: int) -> bool:
    """Take the content out of a record, and say so, in one replacement; False where there is none."""
    log = Log(Disk(), str(path_of(store, session_id)), session_id, durable=False)
    with log.existing:
        lines = [line for _, line in log.read_new()]
        if log.rest is not None or not 1 < version <= len(lines) or is_erased(lines[version - 1]):
            log.close()
            return False
        said = outline(lines[version - 1])
        assert said is not None
        was = bytes(said.event).split(b'"')[3]
        head = lines[version - 1].partition(b'","salt":')[0]
        lines[version - 1] = head + b'","salt":null,"event":{"type":"erased","was":"%b"}}' % was
        told = ContentErased(versions=[version], types=[was.decode()], reason="asked for")
        appended, _, _ = encode_batch([prepare(Change(event=told, at=utc_now()))], log.version, log.chain)

        def new() -> Iterator[bytes]:
            yield b"".join(line + b"\n" for line in lines) + appended
            log.retract()

        disks.replace_file(log.disk, log.path, new(), durable=False)
    log.close()
    return True


def tear(path: Path) -> None:
    """Leave half a batch, as a crash does; the journal is there already."""
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":')


def damage(path: Path, index: int, *, breaks_chain: bool) -> None:
    """Alter a line in its place: its content, or its header, so that what follows it has lost its proof."""
    lines = path.read_bytes().split(b"\n")
    offset = sum(len(line) + 1 for line in lines[:index])
    mark = b'"at":"' if breaks_chain else b',"event":{"type":"'
    at = lines[index].index(mark) + len(mark)
    with path.open("r+b") as file:
        file.seek(offset + at)
        file.write(bytes(byte ^ 0x03 for byte in lines[index][at : at + 4]))
