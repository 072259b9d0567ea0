"""What befalls a journal while others use it: it is torn, damaged."""

from pathlib import Path

from journal import StateStore


def path_of(store: StateStore, session_id: str) -> Path:
    """The journal of a session."""
    return Path(store.base_path, "sessions", f"{session_id}.jsonl")


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
