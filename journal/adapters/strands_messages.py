"""A message of Strands as a batch of records, and back: on Strands' own JSON of it, bytes as base64."""

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

NAME: Final = "strands"


def records_of(agent_id: str, stored: JsonObject) -> list[Event]:
    """The batch for a message of an agent."""
    head, parts = _split(stored) if storable(stored) is stored else (stored, [])
    if _joined(head, parts) != stored:
        head, parts = stored, []
    return item_events(NAME, {"agent": agent_id, "message": head}, parts)


def message_of(item: Item) -> JsonObject:
    """The message that an item is, without what was erased of it."""
    return _joined(item.head["message"], item.pairs())


def _split(stored: JsonObject) -> tuple[JsonObject, list[PartAndRest]]:
    message = stored["message"]
    blocks = message.get("content")
    if not isinstance(blocks, list):
        return stored, []
    head = {**stored, "message": _without(message, "content")}
    return head, [_record(block, message.get("role") == "user") for block in blocks]


def _joined(head: JsonObject, parts: Iterable[PartAndRest]) -> JsonObject:
    message = head["message"]
    if "content" in message:
        return head
    return {**head, "message": {**message, "content": [_block(*each) for each in parts]}}


def _record(block: JsonObject, is_users: bool) -> PartAndRest:
    """A block as what it is everywhere here, and what that has no place for."""
    match block:
        case {"text": str(text), **rest}:
            return UserMessageAdded(content=text) if is_users else AgentResponseAdded(content=text), rest
        case {
            "reasoningContent": {"reasoningText": {"text": str(text), "signature": str(signature)}},
            **rest,
        }:
            return ReasoningAdded(content=text, signature=signature), rest
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}, **rest}:
            return ReasoningAdded(content=text), rest
        case {"toolUse": {"toolUseId": str(call_id), "name": str(name), "input": _}, **rest}:
            use = block["toolUse"]
            rest |= _beside("toolUse", use, "toolUseId", "name", "input")
            return ToolCalled(call_id=call_id, name=name, arguments=use["input"]), rest
        case {"toolResult": {"toolUseId": str(call_id), "content": _}, **rest}:
            answer = block["toolResult"]
            rest |= _beside("toolResult", answer, "toolUseId", "content")
            failed = answer.get("status") == "error"
            return ToolReturned(call_id=call_id, result=answer["content"], is_error=failed), rest
        case _:
            return other_part(NAME, block), {}


def _block(event: Part, rest: JsonObject) -> JsonObject:
    """The block that became an event and the rest."""
    match event:
        case ReasoningAdded(content=text, signature=signature):
            signed = {} if signature is None else {"signature": signature}
            return {"reasoningContent": {"reasoningText": {"text": text, **signed}}, **rest}
        case UserMessageAdded(content=text) | AgentResponseAdded(content=text):
            return {"text": text, **rest}
        case ToolCalled(call_id=call_id, name=name, arguments=arguments):
            use = {"toolUseId": call_id, "name": name, "input": arguments, **rest.get("toolUse", {})}
            return {**rest, "toolUse": use}
        case ToolReturned(call_id=call_id, result=result):
            answer = {"toolUseId": call_id, "content": result, **rest.get("toolResult", {})}
            return {**rest, "toolResult": answer}
        case CustomEvent(data=dict(data)):
            return data
        case _:
            return {}


def _beside(key: str, value: JsonObject, *placed: str) -> JsonObject:
    others = _without(value, *placed)
    return {key: others} if others else {}


def _without(value: JsonObject, *keys: str) -> JsonObject:
    return {key: each for key, each in value.items() if key not in keys}
