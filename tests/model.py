"""A session as a model: the acts of its records, in plain Python, folded by the plainest means."""

import copy
import itertools

from hypothesis import strategies as st

from journal import AgentResponse, Session
from projections import (
    ActiveSeedSet,
    AgentResponseAdded,
    CustomEvent,
    MetadataSet,
    SessionReplaced,
    SessionRewound,
    UserMessageAdded,
)
from tests.strategies import json_values, texts

NOTE = ("note",)  # a record that does not change the session: a custom event, a repair
ERASED = ("erased", None)  # one that lost its content, and whose type nobody knows
lives = itertools.count(1)


class Model:
    """What a session is at each of its versions.

    acts    one for each record
    before  what a file of another program says, until the first change takes it into the journal
    life    which session of this id it is: it may have been deleted, or gone back to an older copy
    """

    def __init__(self, acts=(), before=None):
        self.acts, self.before, self.life = list(acts), before, next(lives)

    @property
    def version(self):
        return len(self.acts)

    @property
    def now(self):
        return self.at(self.version) if self.acts else self.before

    def at(self, version):
        state = None
        for act in self.acts[:version]:
            state = changed(state, act)
        return state

    def do(self, *acts):
        """One record for each act, behind the one that takes another program's file in."""
        if self.before is not None:
            acts = [("become", self.before), *acts]
            self.before = None
        self.acts += acts


def changed(state, act):
    """A state after one more act."""
    state = copy.deepcopy(state) or {"said": [], "answered": [], "metadata": {}, "seed": None}
    match act:
        case ("become", other):
            state = copy.deepcopy(other)
        case ("say", text):
            state["said"].append(text)
        case ("answer", text):
            state["answered"].append(text)
        case ("set", key, value):
            state["metadata"][key] = value
        case ("seed", seed):
            state["seed"] = seed
        case ("rewind", kept):
            state["said"] = state["said"][: kept.user_messages_kept]
            state["said"] += [message.content for message in kept.user_messages]
            state["answered"] = state["answered"][: kept.agent_responses_kept]
            state["answered"] += [response.content for response in kept.agent_responses]
            for key in kept.metadata_removed:
                state["metadata"].pop(key, None)
            state["metadata"].update(kept.metadata)
            state["seed"] = kept.active_seed_id
        case ("erased", "say"):
            state["said"].append("")  # its place stays
        case ("erased", "answer"):
            state["answered"].append("")
    return state


def shown(session):
    """A Session as the model shows it."""
    if session is None:
        return None
    return {
        "said": [message.content for message in session.user_messages],
        "answered": [response.content for response in session.agent_responses],
        "metadata": session.metadata,
        "seed": session.active_seed_id,
    }


acts = st.lists(
    st.one_of(
        st.tuples(st.just("say"), texts()),
        st.tuples(st.just("answer"), texts()),
        st.tuples(st.just("set"), st.sampled_from("kl"), json_values()),
        st.tuples(st.just("seed"), st.none() | texts()),
    ),
    min_size=1,
    max_size=3,
)


def do(session, *acts):
    """Acts, by a session's methods."""
    for act in acts:
        match act:
            case ("say", text):
                session.add_user_message(text)
            case ("answer", text):
                session.add_agent_response(AgentResponse(text))
            case ("set", key, value):
                session.set_metadata(key, value)
            case ("seed", seed):
                session.set_active_seed(seed)


def event(act):
    """An act, as an event."""
    match act:
        case ("say", text):
            return UserMessageAdded(content=text)
        case ("answer", text):
            return AgentResponseAdded(content=text)
        case ("set", key, value):
            return MetadataSet(key=key, value=value)
        case ("seed", seed):
            return ActiveSeedSet(seed_id=seed)
        case _:
            return CustomEvent(name="note")


def act_of(event):
    """An event, as an act."""
    match event:
        case UserMessageAdded():
            return ("say", event.content)
        case AgentResponseAdded():
            return ("answer", event.content)
        case MetadataSet():
            return ("set", event.key, event.value)
        case ActiveSeedSet():
            return ("seed", event.seed_id)
        case SessionRewound():
            return ("rewind", event)
        case SessionReplaced():
            return ("become", shown(Session.from_document(event.session)))
        case _:
            return NOTE
