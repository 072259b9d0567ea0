// Seen: what exactly the model saw at this record: the prompt made from the conversation as it stood.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { source } from "../../context.ts";
import { counted, number } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { JsonTree } from "../../parts/json.tsx";
import { Terminal, Text } from "../../parts/text.tsx";
import type { Json } from "../../source.ts";
import { revealed } from "../../text/hidden.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

// A prompt may be as long as a context is; its end is what was new.
const MANY = 60;

export function SeenTab({ model, seq, route }: TabProps) {
  const found = useLoaded(`${model.id}/${seq}/${model.revision.value}`, () => source().seen(model.id, seq));
  const messages = found.value?.messages ?? [];
  const [isWhole, showWhole] = useState(false);
  const hidden = isWhole ? 0 : Math.max(0, messages.length - MANY);
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      {found.error ? <Problem error={found.error} /> : null}
      {found.value ? (
        <>
          <p class="hint">
            {counted(messages.length, "message")}: the conversation up to record {number(seq)} as a model is given it,
            with its summary where it was shortened.
          </p>
          {hidden > 0 && (
            <p><button type="button" class="quiet" onClick={() => showWhole(true)}>Show the {counted(hidden, "message")} before these</button></p>
          )}
          <ol class="seen" start={hidden + 1}>
            {messages.slice(hidden).map((message, n) => <li key={hidden + n}><Message message={message} /></li>)}
          </ol>
        </>
      ) : found.error ? null : (
        <Waiting what="the prompt" />
      )}
    </>
  );
}

function Message({ message }: { message: Json }): JSX.Element {
  if (message === null || typeof message !== "object" || Array.isArray(message)) return <JsonTree value={message} />;
  const { role, content, tool_calls, tool_call_id, ...rest } = message;
  const isEmpty = Object.keys(rest).length === 0;
  const calls = Array.isArray(tool_calls) ? tool_calls : [];
  return (
    <div class={`seen-message role-${ROLES[String(role)] ?? "note"}`}>
      <span class="card-role">{revealed(String(role))}</span>
      {typeof tool_call_id === "string" && <span class="muted small"> answers {revealed(tool_call_id)}</span>}
      {typeof content === "string" && content !== "" ? <pre><Terminal text={content} /></pre> : null}
      {content !== null && typeof content === "object" ? <JsonTree value={content} /> : null}
      {calls.map((call) => <Call call={call} />)}
      {!isEmpty && <JsonTree value={rest} />}
    </div>
  );
}

/** A call as it would be written in a program. */
function Call({ call }: { call: Json }): JSX.Element {
  const made = call !== null && typeof call === "object" && !Array.isArray(call) ? call : {};
  const what = made.function;
  if (what === null || typeof what !== "object" || Array.isArray(what)) return <JsonTree value={call} />;
  return (
    <pre>
      <strong><Text text={String(what.name)} /></strong>(<Text text={String(what.arguments)} />) <span class="muted small">{revealed(String(made.id))}</span>
    </pre>
  );
}

const ROLES: Record<string, string> = { user: "user", assistant: "agent", tool: "tool", system: "note" };
