"""The docs: every Python block runs, top to bottom of its page; links lead somewhere; the format is exact."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import journal
from journal import Session, StateStore
from journal.event_json import KNOWN_TYPES
from journal.importers import import_path

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
# What a page needs that is not there wherever the tests run.
NEEDS = {
    "adk.md": "google.adk",
    "claude-agent.md": "claude_agent_sdk",
    "langgraph.md": "langgraph.graph",
    "openai-agents.md": "agents.testing",
    "strands.md": "strands",
}
# Whose blocks need servers: tests/test_many_machines.py runs them.
SERVED = ("many-machines.md",)
FORMAT = (ROOT / "docs/reference/format.md").read_text()


def lend_conversations(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    """Put real conversations where the page has them; without any, such a page is skipped."""
    if "trajectories/" in page.read_text():
        (folder / "trajectories").symlink_to(request.getfixturevalue("data"))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in SERVED], ids=lambda page: page.name
)
def test_the_python_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    """What a reader copies works."""
    lend_conversations(page, tmp_path, request)
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    monkeypatch.chdir(tmp_path)
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(page)

    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    """A link to a file of the project is to a file that is there."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short():
    """Under 700 words."""
    assert len((ROOT / "README.md").read_text().split()) < 700


def standalone_verifier() -> Any:
    """The format page's verifier, which knows nothing of the library."""
    found = re.search(r"<!-- verifier -->\n```python\n(.*?)```", FORMAT, re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) < 60
    names: dict[str, Any] = {"__name__": "verifier"}
    exec(found[1], names)
    return SimpleNamespace(**names)


def test_the_worked_example_of_the_format_page_verifies(folder: Path):
    """Both the page's verifier and the library read the page's own journal."""
    found = re.search(r"<!-- journal: demo -->\n```json\n(.*?)```", FORMAT, re.DOTALL)
    assert found is not None
    (folder / "sessions").mkdir(parents=True)
    path = folder / "sessions" / "demo.jsonl"
    path.write_text(found[1])
    version, head, unfinished = standalone_verifier().verify(str(path), "demo")
    with StateStore(folder, durability="os") as store:
        report = store.verify("demo")
        session = store.load_session("demo")

    assert (version, unfinished) == (3, 0)
    assert report.ok
    assert report.head == head
    assert session is not None
    assert session.agent_responses[0].content == "Hi, Ada."


def test_the_standalone_verifier_agrees_with_the_library(store: StateStore, folder: Path):
    """It accepts what was written, and finds every flipped bit."""
    session = Session.with_id("ada", "s")
    session.add_user_message("Hello, wörld")
    store.save_session(session)
    session.set_metadata("k", {"a": [1, None, True]})
    store.save_session(session)
    path = folder / "sessions" / "s.jsonl"
    verifier = standalone_verifier()
    whole = path.read_bytes()
    copy = folder / "copy.jsonl"
    missed = []
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        copy.write_bytes(changed)
        try:
            version, _, unfinished = verifier.verify(str(copy), "s")
        except ValueError:
            continue
        if version == 3 and not unfinished:
            missed.append(bit)

    assert verifier.verify(str(path), "s")[:2] == (3, store.verify("s").head)
    assert missed == []


def test_the_format_page_names_every_event_type():
    """A type that is stored is documented."""
    assert [kind for kind in sorted(KNOWN_TYPES) if f"`{kind}`" not in FORMAT] == []


def test_the_api_page_names_every_public_name():
    """What can be imported, and what can be called, is documented."""
    page = (ROOT / "docs/reference/api.md").read_text()
    methods = [name for name in vars(StateStore) if not name.startswith("_")]

    assert [name for name in [*journal.__all__, *methods] if f"`{name}" not in page] == []


def test_both_verifiers_agree_on_real_conversations(store: StateStore, folder: Path, data: Path):
    """Every imported session: the same version, the same head, nothing unfinished."""
    verifier = standalone_verifier()
    sources = ("tau-bench-airline", "claude-code-context-evaluator", "seed-sessions/sessions")
    found = [import_path(store, data / source).session_ids for source in sources]
    for session_id in (each for session_ids in found for each in session_ids):
        report = store.verify(session_id)
        path = folder / "sessions" / f"{session_id}.jsonl"
        assert report.ok
        assert verifier.verify(str(path), session_id) == (report.version, report.head, 0)

    assert [len(session_ids) for session_ids in found] == [200, 16, 8]
