// Fold: what a session's state is after a record, by the rules of docs/reference/format.md and the library.

import type { Json } from "../source.ts";
import type { EventJson } from "./chunks.ts";

/** The session's document as the fold holds it. It is changed in place; its messages never are. */
export interface SessionState {
  id: string;
  user_id: string;
  user_messages: Json[];
  agent_responses: Json[];
  active_seed_id?: Json;
  active_persona_id?: Json;
  created_at: string;
  updated_at: string;
  metadata: { [key: string]: Json };
}

const BEGINNING = "1970-01-01T00:00:00Z";

// What a session did not change by.
const HOUSEKEEPING = new Set([
  "session_adopted", "session_forked", "session_rewound", "journal_repaired", "content_erased",
]);

/** A state of its own, from a document or from nothing. */
export function begin(document: Json): SessionState {
  const from = document !== null && typeof document === "object" && !Array.isArray(document) ? document : {};
  return {
    id: text(from.id),
    user_id: text(from.user_id),
    user_messages: list(from.user_messages),
    agent_responses: list(from.agent_responses),
    ...(from.active_seed_id ? { active_seed_id: from.active_seed_id } : {}),
    ...(from.active_persona_id ? { active_persona_id: from.active_persona_id } : {}),
    created_at: from.created_at ? text(from.created_at) : BEGINNING,
    updated_at: from.updated_at ? text(from.updated_at) : BEGINNING,
    metadata: { ...object(from.metadata) },
  };
}

/** The same state, sharing what is never changed; its keys in the order in which a document has them. */
export function copied(state: SessionState): SessionState {
  const { id, user_id, user_messages, agent_responses, metadata, created_at, updated_at, ...chosen } = state;
  return {
    id,
    user_id,
    user_messages: [...user_messages],
    agent_responses: [...agent_responses],
    ...("active_seed_id" in chosen ? { active_seed_id: chosen.active_seed_id } : {}),
    ...("active_persona_id" in chosen ? { active_persona_id: chosen.active_persona_id } : {}),
    created_at,
    updated_at,
    metadata: { ...metadata },
  };
}

/** Change the state as a record's event says. */
export function apply(state: SessionState, event: EventJson, recordAt: string): void {
  const at = moment(recordAt);
  switch (event.type) {
    case "user_message_added":
      state.user_messages.push({ content: event.content ?? "", timestamp: moment(event.timestamp) || at });
      break;
    case "agent_response_added":
      state.agent_responses.push(response(event, at));
      break;
    case "metadata_set":
      state.metadata[text(event.key)] = event.value ?? null;
      break;
    case "active_seed_set":
      choose(state, "active_seed_id", event.seed_id);
      break;
    case "active_persona_set":
      choose(state, "active_persona_id", event.persona_id);
      break;
    case "session_created":
      state.id ||= text(event.session_id);
      state.user_id = text(event.user_id);
      state.created_at = at;
      break;
    case "session_replaced":
      become(state, event.session);
      break;
    case "session_adopted":
      become(state, readDocument(event.document));
      return;
    case "erased":
      if (event.was === "user_message_added") state.user_messages.push({ content: "", timestamp: at });
      if (event.was === "agent_response_added") state.agent_responses.push(response({ content: "" }, at));
      if (HOUSEKEEPING.has(text(event.was))) return;
      break;
    case "session_forked":
      state.id ||= text(event.session_id);
      if (event.document) become(state, event.document);
      else state.created_at = state.updated_at = moment(event.created_at);
      state.user_id = text(event.user_id);
      return;
    case "session_rewound":
      rewind(state, event);
      return;
    case "tool_called":
    case "tool_returned":
    case "reasoning_added":
    case "custom_event":
    case "step_finished":
    case "usage_recorded":
    case "context_compacted":
      break; // part of the history; the state has no place for them
    default:
      return; // housekeeping, or from a newer version
  }
  state.updated_at = at;
}

function rewind(state: SessionState, event: EventJson): void {
  state.user_messages.length = Math.min(state.user_messages.length, Number(event.user_messages_kept));
  state.user_messages.push(...list(event.user_messages));
  state.agent_responses.length = Math.min(state.agent_responses.length, Number(event.agent_responses_kept));
  state.agent_responses.push(...list(event.agent_responses).map((each) => response(object(each), "")));
  state.user_id = text(event.user_id);
  state.created_at = moment(event.created_at);
  choose(state, "active_seed_id", event.active_seed_id);
  choose(state, "active_persona_id", event.active_persona_id);
  for (const key of list(event.metadata_removed)) delete state.metadata[text(key)];
  Object.assign(state.metadata, object(event.metadata));
  state.updated_at = moment(event.updated_at);
}

function become(state: SessionState, document: Json | undefined): void {
  const { id, ...rest } = begin(document ?? null);
  state.id ||= id;
  delete state.active_seed_id;
  delete state.active_persona_id;
  Object.assign(state, rest);
  state.agent_responses = state.agent_responses.map((each) => response(object(each), ""));
}

function readDocument(document: Json | undefined): Json {
  try {
    return JSON.parse(text(document)) as Json;
  } catch {
    return null; // redaction may have left no JSON
  }
}

const response = (from: { [key: string]: Json }, at: string): Json => ({
  content: from.content ?? "",
  session_id: from.session_id ?? null,
  seed_id: from.seed_id ?? null,
  phase_reached: from.phase_reached ?? null,
  evaluation_passed: from.evaluation_passed ?? null,
  timestamp: moment(from.timestamp) || at,
});

function choose(state: SessionState, name: "active_seed_id" | "active_persona_id", value: Json | undefined): void {
  if (value === null || value === undefined) delete state[name];
  else state[name] = value;
}

/** A time as a document has it: no fraction where there is none. */
const moment = (at: Json | undefined): string => text(at).replace(/\.000000(?=Z|[+-])/, "").replace("+00:00", "Z");

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? [...value] : []);
const object = (value: Json | undefined): { [key: string]: Json } =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
