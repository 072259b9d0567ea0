// Prompt: what a model was given of the conversation, in the shape of chat completions.

import type { Json } from "../source.ts";
import type { EventJson } from "./chunks.ts";

interface Said {
  seq: number;
  event: EventJson;
}

const SAID = new Set(["user_message_added", "agent_response_added", "reasoning_added", "tool_called", "tool_returned"]);
const UNKNOWN = "The outcome of this call is unknown: it may have run, or not, or in part.";

/** The messages after these records, as the library's own `messages` makes them. */
export function prompt(records: Said[]): Json[] {
  const { summary, said } = view(records);
  const results = new Map<string, EventJson>();
  for (const { event } of said) if (event.type === "tool_returned") results.set(String(event.call_id), event);
  const messages: Json[] = [];
  if (summary.trim()) messages.push({ role: "user", content: `Summary of the conversation so far:\n\n${summary}` });
  let text = "";
  let calls: EventJson[] = [];
  const end = () => {
    if (text || calls.length) {
      messages.push({
        role: "assistant",
        content: text || null,
        ...(calls.length ? { tool_calls: calls.map(asCall) } : {}),
      });
      for (const call of calls) messages.push(asResult(call, results.get(String(call.call_id))));
    }
    text = "";
    calls = [];
  };
  for (const { event } of said) {
    const content = typeof event.content === "string" ? event.content : "";
    switch (event.type) {
      case "user_message_added":
        end();
        messages.push({ role: "user", content: content.trim() ? content : "(This message is empty.)" });
        break;
      case "agent_response_added":
        if (text || calls.length) end();
        text = content.trim() ? content : "";
        break;
      case "tool_called":
        calls.push(event);
        break;
      case "erased":
        end();
        if (event.was === "user_message_added")
          messages.push({ role: "user", content: "(The content of this message was erased.)" });
        break;
      default:
        if (event.type !== "reasoning_added" || text || calls.length) end();
    }
  }
  end();
  return messages;
}

/** The records that still count: after rewinds, and after the last summary. */
function view(records: Said[]): { summary: string; said: Said[] } {
  let said: Said[] = [];
  for (const record of records) {
    const { event, seq } = record;
    if (event.type === "session_rewound") said = rewound(records, Number(event.to), seq);
    else if (event.type === "session_replaced") said = ofDocument(event.session, seq);
    else if (event.type === "session_adopted") said = ofDocument(asDocument(event.document), seq);
    else if (event.type === "session_forked" && event.document) said = ofDocument(event.document, seq);
    else if (isSaid(record)) said.push(record);
  }
  const last = said.findLast((each) => each.event.type === "context_compacted");
  const through = last ? Number(last.event.through) : 0;
  return {
    summary: last ? String(last.event.summary ?? "") : "",
    said: said.filter((each) => each.event.type !== "context_compacted" && each.seq > through),
  };
}

/** What counted at a version: a rewind goes back to what a rewind before it may have gone back to. */
function rewound(records: Said[], to: number, now: number): Said[] {
  const before = records.filter((each) => each.seq <= to && each.seq < now);
  const at = before.findLastIndex((each) => each.event.type === "session_rewound");
  const said = before.slice(at + 1).filter(isSaid);
  const last = before[at];
  return last ? [...rewound(records, Number(last.event.to), last.seq), ...said] : said;
}

const isSaid = ({ event }: Said): boolean =>
  SAID.has(String(event.type === "erased" ? event.was : event.type)) || event.type === "context_compacted";

function asDocument(text: Json | undefined): Json {
  try {
    return JSON.parse(String(text)) as Json;
  } catch {
    return null;
  }
}

function ofDocument(document: Json | undefined, seq: number): Said[] {
  if (document === null || typeof document !== "object" || Array.isArray(document)) return [];
  const messages = (name: string, type: string) =>
    (Array.isArray(document[name]) ? document[name] : []).map((each): Said => ({ seq, event: { ...(each as EventJson), type } }));
  return [...messages("user_messages", "user_message_added"), ...messages("agent_responses", "agent_response_added")].sort(
    (one, other) => Date.parse(String(one.event.timestamp)) - Date.parse(String(other.event.timestamp)),
  );
}

const asCall = (call: EventJson): Json => ({
  id: call.call_id ?? "",
  type: "function",
  function: { name: call.name ?? "", arguments: JSON.stringify(call.arguments ?? {}) },
});

function asResult(call: EventJson, returned: EventJson | undefined): Json {
  const tool_call_id = call.call_id ?? "";
  if (!returned) return { role: "tool", tool_call_id, content: `Error: ${UNKNOWN}` };
  const result = returned.result ?? null;
  const text = typeof result === "string" ? result : JSON.stringify(result);
  return { role: "tool", tool_call_id, content: returned.is_error ? `Error: ${text}` : text };
}
