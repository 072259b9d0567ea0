"""What changed of a JSON object, key by key: so that a state that is saved anew costs what changed of it."""

from typing import Any

from projections.difference import same_json

JsonObject = dict[str, Any]


def patch(before: JsonObject, after: JsonObject) -> JsonObject:
    """What leads from `before` to `after`: keys that are `set` or `gone`, objects that changed `in`."""
    keep = {key for key in after if key in before and same_json(before[key], after[key])}
    inner = {
        key
        for key in after
        if key not in keep and isinstance(before.get(key), dict) and isinstance(after[key], dict)
    }
    found: JsonObject = {
        "set": {key: after[key] for key in after if key not in keep and key not in inner},
        "in": {key: patch(before[key], after[key]) for key in after if key in inner},
        "gone": [key for key in before if key not in after],
    }
    return {name: each for name, each in found.items() if each}


def patched(before: JsonObject, change: JsonObject) -> JsonObject:
    """The object that a patch leads to. What it was made for comes back; the old one stays as it is."""
    after = {key: value for key, value in before.items() if key not in change.get("gone", ())}
    after |= change.get("set", {})
    for key, inner in change.get("in", {}).items():
        kept = after.get(key)
        after[key] = patched(kept if isinstance(kept, dict) else {}, inner)
    return after
