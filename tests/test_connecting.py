"""What names a store: a folder, a URL of one elsewhere, or nothing at all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from journal import AsyncStateStore, StateStore
from journal.connecting import backend_of, folder_of
from journal.folder import FolderBackend
from journal.memory import MemoryBackend


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("state", "state"),
        (Path("/tmp/a b"), "/tmp/a b"),
        ("file:///tmp/state", "/tmp/state"),
        ("file:state", "state"),
        ("odd:name", "odd:name"),
        ("nats://host/NAME", None),
        ("tls://host", None),
        ("memory:x", None),
    ],
)
def test_a_folder_is_named_by_its_path(url, folder):
    assert folder_of(url) == folder


@pytest.mark.parametrize("url", ["http://host", "redis://u:s3cret@host", "NATS+TLS://host"])
def test_a_url_of_nothing_we_know_is_refused(url):
    """Rather than taken for a folder of that name; and without what is secret in it."""
    for ask in (folder_of, backend_of, StateStore, StateStore.connect, AsyncStateStore):
        with pytest.raises(ValueError, match=re.escape(url.partition(":")[0])) as raised:
            ask(url)
        assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["nats://u:s3cret@host/NAME", "tls://host", "memory:x", "file:///tmp/x"])
def test_where_a_folder_is_meant_a_url_is_refused(url, tmp_path, monkeypatch):
    """No folder is made that is called so; what takes it is named."""
    monkeypatch.chdir(tmp_path)
    for store in (StateStore, AsyncStateStore):
        with pytest.raises(ValueError, match=r"StateStore\.connect") as raised:
            store(url)
        assert "s3cret" not in str(raised.value)

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("url", ["file://host/share", "file://", "file:"])
def test_a_file_url_of_no_folder_here_is_refused(url):
    with pytest.raises(ValueError, match="names no folder of this machine"):
        folder_of(url)


def test_each_kind_has_its_backend(tmp_path):
    """One in memory is shared by its name; only servers take options."""
    assert isinstance(backend_of(tmp_path), FolderBackend)
    assert isinstance(backend_of("memory:one"), MemoryBackend)
    assert backend_of("memory:one") is backend_of("memory:one")
    assert backend_of("memory:one") is not backend_of("memory:two")
    for url in (str(tmp_path), "memory:one"):
        with pytest.raises(ValueError, match="takes no replicas"):
            backend_of(url, replicas=3)


def test_a_folder_is_connected_to_as_it_is_opened(tmp_path):
    with StateStore.connect(f"file://{tmp_path}", actor="ann") as store:
        assert (store.base_path, store.name, store.actor) == (str(tmp_path), str(tmp_path), "ann")


def test_nothing_of_servers_is_imported_before_it_is_needed(tmp_path):
    """The extra `nats` is one: who has a folder need not have it."""
    code = "import sys, journal, journal.cli.commands; print({'nats', 'greenlet'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
