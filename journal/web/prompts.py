"""What the model saw: the prompt from the conversation as it stood at a record."""

from typing import Any, Final

from journal.web.cutting import cut_texts
from journal.web.past import Past
from projections.conversation import Conversation
from projections.document import Json
from projections.prompt import messages

_MOST_MESSAGES: Final = 1000


def seen_at(past: Past, version: int) -> dict[str, Any]:
    """The messages in OpenAI's shape; of very many the last, and `skipped` says how many came before."""
    conversation = Conversation()
    context = conversation.initial()
    for record in past.records_until(version):
        context = conversation.apply(context, record)
    found: list[Json] = [*messages(context)]
    cut = cut_texts(found[-_MOST_MESSAGES:])
    return {
        "version": version,
        "shape": "openai",
        "messages": cut.value,
        "cut": cut.places,
        "skipped": max(len(found) - _MOST_MESSAGES, 0),
    }
