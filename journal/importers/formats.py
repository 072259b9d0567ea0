"""The formats: what each is called, how its files are recognised, and who reads them."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from journal.importers import (
    claude_code,
    codex,
    copilot,
    crosswoz,
    gemini,
    jsonl,
    openai,
    own,
    seed,
    swe_agent,
)
from journal.importers.ingest import Run
from journal.importers.transcript import Read, Transcript

Recognises = Callable[[dict[str, Any]], bool]


class Format(NamedTuple):
    """A format of files: of JSON lines, of one JSON document, or of either.

    Who recognises it gets the keys of a line, of a document, or of an item of a document that is a list.
    """

    name: str
    looks: str
    endings: tuple[str, ...]
    """Those of the files that are looked at in a folder where this format is asked for."""
    of_line: Recognises | None = None
    of_document: Recognises | None = None
    of_item: Recognises | None = None
    new_reader: Callable[[], Read] | None = None
    import_whole: Callable[[Run, str], None] | None = None
    names_session: bool = False
    """Whether a file says which session it is of, so that it needs no name."""

    def reader_of(self, path: str) -> Callable[[], Read] | None:
        """Who reads a file's lines; None where it is one document. Raises OSError."""
        if self.new_reader is None or (self.import_whole is not None and gemini.is_document(path)):
            return None
        return self.new_reader

    def import_file(self, run: Run, path: str) -> None:
        """Take in a file of this format."""
        try:
            new_reader = self.reader_of(path)
        except OSError as error:
            run.problem(path, None, f"cannot be read: {error.strerror}")
            return
        if new_reader is not None:
            Transcript(run, path, new_reader).read_on()
        elif self.import_whole is not None:
            self.import_whole(run, path)


# Recognised in this order: what is more particular comes first.
ALL: Final = (
    Format(
        own.NAME,
        own.LOOKS,
        (".jsonl",),
        of_line=own.recognises,
        import_whole=own.import_file,
        names_session=True,
    ),
    Format(
        claude_code.NAME,
        claude_code.LOOKS,
        (".jsonl",),
        of_line=claude_code.recognises,
        new_reader=claude_code.new_reader,
        names_session=True,
    ),
    Format(
        codex.NAME,
        codex.LOOKS,
        (".jsonl",),
        of_line=codex.recognises,
        new_reader=codex.new_reader,
        names_session=True,
    ),
    Format(
        copilot.NAME,
        copilot.LOOKS,
        (".jsonl",),
        of_line=copilot.recognises,
        new_reader=copilot.new_reader,
        names_session=True,
    ),
    Format(
        gemini.NAME,
        gemini.LOOKS,
        (".json", ".jsonl"),
        of_line=gemini.recognises,
        of_document=gemini.recognises,
        new_reader=gemini.new_reader,
        import_whole=gemini.import_document,
        names_session=True,
    ),
    Format(
        swe_agent.NAME,
        swe_agent.LOOKS,
        (".traj",),
        of_document=swe_agent.recognises,
        import_whole=swe_agent.import_file,
    ),
    Format(
        crosswoz.NAME,
        crosswoz.LOOKS,
        (".json",),
        of_document=crosswoz.recognises,
        import_whole=crosswoz.import_file,
    ),
    Format(seed.NAME, seed.LOOKS, (".json",), of_document=seed.recognises, import_whole=seed.import_file),
    Format(
        openai.NAME,
        openai.LOOKS,
        (".json",),
        of_document=openai.recognises,
        of_item=openai.recognises_item,
        import_whole=openai.import_file,
    ),
    Format(jsonl.NAME, jsonl.LOOKS, (".jsonl",), of_line=jsonl.recognises, new_reader=jsonl.new_reader),
)
BY_NAME: Final = {each.name: each for each in ALL}
