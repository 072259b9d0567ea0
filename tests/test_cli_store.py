"""Every command works on a store that is elsewhere, and says the same of it."""

import asyncio
import re
import tempfile
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cluster import Cluster

from journal import Session, StateStore
from journal.cli.app import app as root
from journal.cli.commands import app
from journal.cli.place import without_secrets
from journal.connecting import backend_of
from journal.copying import copy
from projections import CustomEvent, ToolCalled, ToolReturned

# What each command is asked for; in this order, for some change the store.
CALLS = """
ls
ls --user ann --json
show a
show a@2
state a@2
log a
log a@2..3 --json
log -n 2 a
grep hello
search hello
search hello --json
info a
info a --json
stats
stats --deep
diff a@1 a@2
diff a fork
blame a user_id
first a state.version==2
bisect a state.version>2
bisect a --run true
play a --speed 1000000
verify a
verify --all
doctor
doctor a b
key new test -o test.key
key public test.key
seal a --key test.key -o a.seal
prove a@1 --seal a.seal -o a.proof
unfinished
attachment b
attachment b --list
export a
export a --format json
export a --format markdown
export --all -o out
export a --html page.html
say a more --by bob
say new hello --user ann
reply new hi
fork a@2 --id fork2 --by bob
rewind a@2 --by bob
settle b c1 --result 1
erase b@2 --reason asked
erase b@2 --reason asked --yes --by bob
repair a
repair --all
repair --catalog
compact
prune --keep 2
rm new --yes --by bob --why asked
prune --keep 1 --yes
import lima.jsonl --user ada
show none
rm none --yes
log a@99
verify none
ls --json
""".strip().splitlines()

# Snapshots, and what else is around the sessions, each store has for itself.
OWN = ("doctor", "compact")


def invoke(place: str, call: str) -> Result:
    return CliRunner().invoke(app, ["--store", place, *call.split()], catch_exceptions=False)


@pytest.fixture
def talks(store: StateStore, folder: Path) -> Path:
    """A store with something for each command."""
    for session_id in ("a", "b"):
        session = Session.with_id("ann", session_id)
        session.add_user_message(f"hello {session_id}")
        session.add_agent_response("hi")
        store.save_session(session)
    reference = store.attach(b"hello, attached", "text/plain")
    events = [
        ToolCalled(call_id="c1", name="look", arguments={}),
        ToolCalled(call_id="c2", name="look", arguments={}),
        ToolReturned(call_id="c2", result="seen"),
        CustomEvent(name="n", data={"file": reference}),
    ]
    store.append("b", events, expected_version=3)
    store.fork("a", new_id="fork")
    store.close()
    return folder


def elsewhere(folder: Path) -> str:
    """A copy of a store, not in a folder."""
    url = f"memory:{uuid.uuid4()}"
    assert asyncio.run(copy(backend_of(folder), backend_of(url))).ok
    return url


def masked(result: Result, folder: Path, url: str) -> tuple[int, str]:
    """What it said, without what differs from store to store and from time to time."""
    text = f"{result.stdout}\n{result.stderr}"
    text = re.sub(r"(?:STORE|/\S*)/(sessions|\.journal)/", r"BASE/\1/", text.replace(url, "STORE"))
    text = text.replace(str(folder), "STORE")
    text = re.sub(r"; (no snapshot|snapshot [^\n]*)|\"snapshot\":\{[^}]*\}|\d+,\d+ bytes", "SIZE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "TIME", text)
    text = re.sub(r"\d\d:\d\d:\d\d(\.\d+)?", "TIME", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{22}", "ID", text)
    return result.exit_code, re.sub(r"[\w-]{43}=?|test\+[0-9a-f]{8}\+\S+", "HASH", text)


def test_every_command_says_the_same_wherever_the_store_is(
    talks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder, and elsewhere: the answer, and the exit code."""
    url = elsewhere(talks)
    lima = Path(__file__).parents[1] / "tools" / "lima.jsonl"
    different = {}
    for call in CALLS:
        said = []
        for name, place in (("here", str(talks)), ("there", url)):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "lima.jsonl").write_bytes(lima.read_bytes())
            monkeypatch.chdir(folder)
            said.append(masked(invoke(place, call), talks, url))
        assert said[0][0] != 2, call  # else it was not asked as it must be
        if said[0] != said[1] and call.split()[0] not in OWN:
            different[call] = said

    assert different == {}


def test_every_command_is_asked() -> None:
    """But for those that have tests of their own, or that never end."""
    asked = {call.split()[0] for call in CALLS}

    assert {*root.commands} - asked == {"copy", "view"}


def test_the_doctor_says_what_the_servers_promise(talks: Path) -> None:
    """In the place of what is in a folder around the sessions."""
    result = invoke(elsewhere(talks), "doctor")

    assert result.exit_code == 0
    assert re.search(r"^a +ok +3 records", result.stdout, re.MULTILINE)
    assert "servers      memory:" in result.stdout
    assert "catalog" not in result.stdout


def test_a_command_that_is_run_gets_the_store_as_it_was_given(talks: Path, tmp_path: Path) -> None:
    """So that a `journal` in it asks the same one."""
    url = elsewhere(talks)
    out = tmp_path / "asked"
    for place in (url, str(talks)):
        CliRunner().invoke(app, ["--store", place, "bisect", "a", "--run", f"echo $JOURNAL_STORE > {out}"])

        assert out.read_text().strip() == place


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://host/NAME", "nats://host/NAME"),
        ("nats://ann:s3cret@host:4222,b/NAME?password=x", "nats://…@host:4222,b/NAME"),
        ("tls://token@host", "tls://…@host"),
        ("some/folder", "some/folder"),
        ("memory:x", "memory:x"),
    ],
)
def test_what_is_shown_of_a_url_has_no_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("http://host", "no store is reached with 'http'"),
        ("memory:x?durability=most", "durability is 'disk' or 'os'"),
        ("memory:x?timeout=soon", "timeout is a number of seconds, not 'soon'"),
        ("memory:x?timeout=nan", "timeout is a number of seconds, not 'nan'"),
    ],
)
def test_a_url_of_nothing_is_refused(place: str, text: str) -> None:
    result = invoke(place, "ls")

    assert result.exit_code == 2
    assert text in result.stderr


@pytest.mark.parametrize(
    "given",
    [
        "import URL",
        "export --all -o URL",
        "export a -o URL",
        "export a --html URL",
        "export a --attachments URL",
    ],
)
def test_a_url_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """None is made that is called so, and the password is not shown."""
    with StateStore(tmp_path / "state") as store:
        store.save_session(Session.with_id("ann", "a"))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = invoke("state", given.replace("URL", "nats://ann:s3cret@host:4222/talks"))

    assert result.exit_code == 2
    assert "nats://…@host:4222/talks is a URL" in result.stderr
    assert "`journal copy`" in result.stderr
    assert "s3cret" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("call", ["verify --all", "doctor", "repair --all", "verify --all --json"])
def test_damage_is_named_by_the_store_and_not_by_a_folder_that_goes_with_the_call(call: str) -> None:
    place = f"memory:damaged-{uuid.uuid4().hex}"
    with StateStore.connect(place) as store:
        store.save_session(Session.with_id("ann", "s"))
        journals = store._disk._backend.journals  # type: ignore[attr-defined]
        asyncio.run(journals.append("s", [b"no record\n"], asyncio.run(journals.head("s"))))
        said = invoke(place, call).output

        assert f"{place}/sessions/s.jsonl, byte " in said
        assert tempfile.gettempdir() not in said


@pytest.mark.parametrize("call", ["ls", "verify --all", "show s"])
def test_a_store_that_is_not_there_is_none_on_servers_either(
    one_node: Cluster, store_name: str, call: str
) -> None:
    result = invoke(f"{one_node.url(store_name)}?durability=os", call)

    assert result.exit_code == 3, result.stderr
    assert f"{one_node.url(store_name)}: there is no such store" in result.stderr
    assert "`journal say` begin one" in result.stderr
    assert invoke(f"{one_node.url(store_name)}?durability=os", "say s hello --user ann").exit_code == 0
    assert invoke(f"{one_node.url(store_name)}?durability=os", "show s").exit_code == 0
