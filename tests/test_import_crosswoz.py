"""The format "crosswoz": dialogues by id."""

import json
from pathlib import Path
from typing import Any

from journal import StateStore
from journal.importers import import_path
from projections import AgentResponseAdded, CustomEvent, MetadataSet, SessionCreated, UserMessageAdded

ASKED = {"role": "usr", "content": "找一家餐馆", "dialog_act": [["Inform"]]}
ANSWERED = {"role": "sys", "content": "好的"}


def dialogue(*messages: Any) -> dict[str, Any]:
    return {"sys-usr": [1, 2], "goal": [[1, "餐馆"]], "messages": messages, "type": "t"}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_session_for_each_dialogue(store: StateStore, tmp_path: Path) -> None:
    """What was said, what its writers noted of it, and what is about the whole as metadata."""
    path = write(tmp_path / "w.json", {"7": dialogue(ASKED, ANSWERED, {"role": "?"}), "8": dialogue(ASKED)})
    outcome = import_path(store, path)

    assert (outcome.problems, outcome.session_ids) == ([], ["w-7", "w-8"])
    assert [record.event for record in store.records("w-7")] == [
        SessionCreated(session_id="w-7", user_id="user"),
        MetadataSet(key="sys-usr", value=[1, 2]),
        MetadataSet(key="goal", value=[[1, "餐馆"]]),
        MetadataSet(key="type", value="t"),
        UserMessageAdded(content="找一家餐馆"),
        CustomEvent(name="crosswoz.usr", data={"dialog_act": [["Inform"]]}),
        AgentResponseAdded(content="好的"),
        CustomEvent(name="crosswoz.message", data={"role": "?"}),
    ]
    assert import_path(store, path).appended == 0


def test_a_dialogue_that_is_none_is_a_problem(store: StateStore, tmp_path: Path) -> None:
    """It is named; the others go on."""
    outcome = import_path(store, write(tmp_path / "w.json", {"7": dialogue(ASKED), "8": 9, "9": {}}))

    assert [each.reason.partition(":")[0] for each in outcome.problems] == ["dialogue 8", "dialogue 9"]
    assert outcome.session_ids == ["w-7"]


def test_real_dialogues_come_out_whole(store: StateStore, data: Path) -> None:
    """500 sessions out of a zip, with the counts that their SOURCE.md names; texts and notes as they were."""
    import zipfile

    outcome = import_path(store, data / "crosswoz-zh")
    with zipfile.ZipFile(data / "crosswoz-zh" / "test.json.zip") as archive:
        document = json.loads(archive.read("test.json"))
    found: dict[str, list[object]] = {"usr": [], "sys": []}
    notes = []
    for each in outcome.session_ids:
        for record in store.records(each):
            match record.event:
                case UserMessageAdded(content=text):
                    found["usr"].append(text)
                case AgentResponseAdded(content=text):
                    found["sys"].append(text)
                case CustomEvent(data=note):
                    notes.append(note)
    messages = [message for each in document.values() for message in each["messages"]]

    assert (outcome.problems, outcome.created) == ([], 500)
    assert {role: len(texts) for role, texts in found.items()} == {"usr": 4238, "sys": 4238}
    for role, texts in found.items():
        assert texts == [each["content"] for each in messages if each["role"] == role]
    assert notes == [{k: v for k, v in each.items() if k not in ("role", "content")} for each in messages]
