"""The public face and the arrows between the parts: both change only on purpose."""

import ast
import inspect
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import journal
import projections

ROOT = Path(journal.__file__).parents[1]

JOURNAL = [
    "ANY",
    "AgentResponse",
    "AsyncLiveSession",
    "AsyncStateStore",
    "AttachmentError",
    "Change",
    "CorruptRecordError",
    "CorruptSnapshotError",
    "DurabilityError",
    "Followed",
    "InvalidEventError",
    "InvalidKeyError",
    "InvalidNameError",
    "JournalClosedError",
    "JournalError",
    "JournalWarning",
    "LiveSession",
    "MissingExtraError",
    "NondeterminismError",
    "OutcomeUnknownError",
    "OwnerMismatchError",
    "Projection",
    "Record",
    "RecordedError",
    "SealError",
    "SearchHit",
    "SearchPage",
    "Session",
    "SessionNotFoundError",
    "SessionPage",
    "SessionSummary",
    "StateStore",
    "UnfinishedCall",
    "UnreachableError",
    "UserMessage",
    "VersionConflictError",
]
PROJECTIONS = [
    "ABSENT",
    "ActivePersonaSet",
    "ActiveSeedSet",
    "Activity",
    "AgentResponse",
    "AgentResponseAdded",
    "Change",
    "ContentErased",
    "ContextCompacted",
    "Conversation",
    "CustomEvent",
    "Erased",
    "Event",
    "JournalRepaired",
    "MetadataSet",
    "Projection",
    "ReasoningAdded",
    "Record",
    "Redaction",
    "Session",
    "SessionAdopted",
    "SessionCreated",
    "SessionDocument",
    "SessionForked",
    "SessionProjection",
    "SessionReplaced",
    "SessionRewound",
    "SessionSummary",
    "StepFinished",
    "Timeline",
    "ToolCalled",
    "ToolReturned",
    "ToolTrace",
    "Transcript",
    "UnknownEvent",
    "Usage",
    "UsageRecorded",
    "UserMessage",
    "UserMessageAdded",
    "difference",
    "fold",
    "messages",
    "parse_path",
    "path_text",
    "value_at",
]


def test_the_public_names_are_these():
    """A new name is a promise: it is made here first."""
    assert sorted(journal.__all__) == JOURNAL
    assert sorted(projections.__all__) == PROJECTIONS
    assert [name for name in JOURNAL if not hasattr(journal, name)] == []
    assert [name for name in PROJECTIONS if not hasattr(projections, name)] == []


def documented():
    for package in (journal, projections):
        yield package.__name__, package
        for name in package.__all__:
            member = getattr(package, name)
            if not inspect.isclass(member) and not inspect.isfunction(member):
                continue  # a constant, or a union of types
            yield f"{package.__name__}.{name}", member
            for inner, attribute in vars(member).items() if inspect.isclass(member) else ():
                if not inner.startswith("_") and (
                    inspect.isfunction(attribute)
                    or isinstance(attribute, property | classmethod | staticmethod)
                ):
                    yield f"{package.__name__}.{name}.{inner}", attribute


@pytest.mark.parametrize(("name", "member"), list(documented()))
def test_every_public_name_says_what_it_promises(name, member):
    """Classes, functions, methods and properties."""
    doc = getattr(member, "__doc__", None)

    assert doc
    assert doc.strip()


def test_every_module_says_its_idea_in_its_first_line():
    """One file, one idea."""
    silent = [
        str(path.relative_to(ROOT))
        for package in ("journal", "projections")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()
    ]

    assert silent == []


def run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize("package", ["journal", "projections"])
def test_importing_the_core_brings_no_extras(package):
    """Neither click nor rich nor watchfiles, nor anything of the network."""
    found = run(f"import sys, {package}\nprint(*sorted(sys.modules))")
    unwanted = {
        "click",
        "cryptography",
        "rich",
        "watchfiles",
        "http",
        "urllib.request",
        "hypothesis",
        "pytest",
        "multiprocessing",
    }

    assert unwanted & set(found) == set()


def test_projections_stand_alone():
    """Importing them imports nothing of journal, nor sqlite3, nor fcntl: no files, locks or network."""
    found = run("import sys, projections\nprint(*sorted(sys.modules))")

    assert [name for name in found if name == "journal" or name.startswith("journal.")] == []
    assert {"sqlite3", "fcntl"} & set(found) == set()


def imports():
    """Which module of ours imports which, wherever in it."""
    paths = [
        path for package in ("journal", "projections") for path in sorted((ROOT / package).rglob("*.py"))
    ]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }
    graph = {module: set() for module in modules}
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                graph[module] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                # `from journal import disk` is an import of journal.disk, not of journal's face.
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[module] |= {name if name in modules else node.module for name in inner}
    return {module: (found & modules.keys()) - {module} for module, found in graph.items()}


def test_projections_import_nothing_of_journal_and_nobody_imports_tools():
    """Tools → journal → projections."""
    graph = imports()
    wrong = [
        (module, name)
        for module, found in graph.items()
        for name in found
        if module.startswith("projections") and not name.startswith("projections")
    ]

    assert wrong == []
    for path in [*(ROOT / "journal").rglob("*.py"), *(ROOT / "projections").rglob("*.py")]:
        assert "import tools" not in path.read_text()
        assert "from tools" not in path.read_text()


# Where a module of the journal stands; each imports only from below its own floor, or its own floor's
# neighbours where there is no circle.
FLOORS = [
    {"errors"},
    {"names", "record", "disk", "layout"},
    {"log", "reader", "snapshot", "catalog", "documents", "marks", "tombstones", "history"},
    {"store"},
]
UPSTAIRS = ("cli", "web", "adapters", "importers", "exporters", "aio")


def floor(module):
    name = module.removeprefix("journal.").split(".")[0]
    return next((number for number, names in enumerate(FLOORS) if name in names), None)


def test_arrows_inside_the_journal_point_one_way():
    """cli, web, adapters → store → log, snapshot, catalog, documents → record, disk, names → errors."""
    graph = {m: f for m, f in imports().items() if m.startswith("journal.")}
    upwards = [
        (module, name)
        for module, found in graph.items()
        for name in found
        if floor(module) is not None and floor(name) is not None and floor(name) > floor(module)
    ]
    from_upstairs = [
        (module, name)
        for module, found in graph.items()
        for name in found
        if name.startswith("journal.")
        and name.split(".")[1] in UPSTAIRS
        and module.split(".")[1] not in UPSTAIRS
    ]
    through_the_face = [
        module for module, found in graph.items() if "journal" in found and floor(module) is not None
    ]

    assert upwards == []
    assert from_upstairs == []
    assert through_the_face == []


def test_no_module_imports_itself_in_a_circle():
    """There is an order in which all can be understood; the command's parts register themselves with it."""
    graph = {module: found for module, found in imports().items() if not module.startswith("journal.cli")}

    assert set(TopologicalSorter(graph).static_order()) == set(graph)


def test_the_log_knows_no_event_type():
    """An event is raw JSON to it."""
    graph = imports()

    assert {name for name in graph["journal.log"] | graph["journal.reader"] if "projections" in name} == set()
