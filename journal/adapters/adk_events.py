"""An event of Google ADK as a batch of records, and back: on ADK's own JSON of it, without its defaults."""

from collections.abc import Iterable
from typing import Final

from journal.adapters.items import Item, JsonObject, Part, PartAndRest, item_events, other_part, storable
from projections.events import (
    AgentResponseAdded,
    CustomEvent,
    Event,
    ReasoningAdded,
    ToolCalled,
    ToolReturned,
    UserMessageAdded,
)

NAME: Final = "adk"
# What begins so in a state is shared by the sessions of an app, or of a user; the rest is a session's own.
SHARED: Final = ("app:", "user:")


def records_of(event: JsonObject) -> list[Event]:
    """The batch for an event. What it sets of the session's own state comes last, as metadata."""
    own = {key: value for key, value in state_delta(event).items() if not key.startswith(SHARED)}
    rest = _without_state(event, own)
    head, parts = _split(rest) if storable(rest) is rest else (rest, [])
    if _joined(head, parts) != rest:
        head, parts = rest, []
    return item_events(NAME, head, parts, own)


def event_of(item: Item) -> JsonObject:
    """The event that an item is, without what was erased of it."""
    event = _joined(item.head, item.pairs())
    if item.sets:
        actions = event.get("actions", {})
        event["actions"] = {**actions, "state_delta": {**actions.get("state_delta", {}), **item.sets}}
    return event


def state_delta(event: JsonObject) -> JsonObject:
    """What an event sets of a state, its session's or a shared one."""
    delta: JsonObject = event.get("actions", {}).get("state_delta", {})
    return delta


def _without_state(event: JsonObject, keys: JsonObject) -> JsonObject:
    if not keys:
        return event
    kept = _without(state_delta(event), *keys)
    actions = _without(event["actions"], "state_delta") | ({"state_delta": kept} if kept else {})
    return _without(event, "actions") | ({"actions": actions} if actions else {})


def _without(value: JsonObject, *keys: str) -> JsonObject:
    return {key: each for key, each in value.items() if key not in keys}


def _split(event: JsonObject) -> tuple[JsonObject, list[PartAndRest]]:
    content = event.get("content", {})
    if not content.get("parts"):
        return event, []
    is_users = event.get("author") == "user"
    head = {**event, "content": _without(content, "parts")}
    return head, [_record(part, is_users) for part in content["parts"]]


def _joined(head: JsonObject, parts: Iterable[PartAndRest]) -> JsonObject:
    together = [_part(*each) for each in parts]
    return {**head, "content": {**head["content"], "parts": together}} if together else {**head}


def _record(part: JsonObject, is_users: bool) -> PartAndRest:
    """A part as what it is everywhere here, and what that has no place for."""
    match part:
        case {"text": str(text), "thought": True, "thought_signature": str(signature), **rest}:
            return ReasoningAdded(content=text, signature=signature), rest
        case {"text": str(text), "thought": True, **rest}:
            return ReasoningAdded(content=text), rest
        case {"text": str(text), **rest}:
            return UserMessageAdded(content=text) if is_users else AgentResponseAdded(content=text), rest
        case {"function_call": {"id": str(call_id), "name": str(name)}, **rest}:
            call = part["function_call"]
            others = _without(call, "id", "name", "args")
            rest |= {"function_call": others} if others else {}
            return ToolCalled(call_id=call_id, name=name, arguments=call.get("args")), rest
        case {"function_response": {"id": str(call_id)}, **rest}:
            answer = part["function_response"]
            others = _without(answer, "id", "response")
            rest |= {"function_response": others} if others else {}
            result = answer.get("response")
            failed = isinstance(result, dict) and bool(result.get("error"))
            return ToolReturned(call_id=call_id, result=result, is_error=failed), rest
        case _:
            return other_part(NAME, part), {}


def _part(event: Part, rest: JsonObject) -> JsonObject:
    """The part that became an event and the rest."""
    match event:
        case ReasoningAdded(content=text, signature=signature):
            signed = {} if signature is None else {"thought_signature": signature}
            return {"text": text, "thought": True, **signed, **rest}
        case UserMessageAdded(content=text) | AgentResponseAdded(content=text):
            return {"text": text, **rest}
        case ToolCalled(call_id=call_id, name=name, arguments=arguments):
            args = {} if arguments is None else {"args": arguments}
            call = {"id": call_id, "name": name, **args, **rest.get("function_call", {})}
            return {**rest, "function_call": call}
        case ToolReturned(call_id=call_id, result=result):
            response = {} if result is None else {"response": result}
            answer = {"id": call_id, **response, **rest.get("function_response", {})}
            return {**rest, "function_response": answer}
        case CustomEvent(data=dict(data)):
            return data
        case _:
            return {}
