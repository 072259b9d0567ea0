// State: the session as the record left it. Any value leads to the records that made it so.

import { source } from "../../context.ts";
import { number } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { JsonTree } from "../../parts/json.tsx";
import { show } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

export function StateTab({ model, seq, route }: TabProps) {
  const found = useLoaded(`${model.id}/${seq}/${model.revision.value}`, () => source().state(model.id, seq));
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      <p class="hint">The session right after record {number(found.value?.version ?? seq)}. Choose a value to see which records made it.</p>
      {found.error ? <Problem error={found.error} /> : null}
      {found.value?.cut?.map((cut) => (
        <p class="muted">{cut.path} is cut: it has {number(cut.characters)} characters.</p>
      ))}
      {found.value ? (
        <JsonTree value={found.value.state} action="Blame" chosen={route.path} onPath={(path) => show({ tab: "blame", path })} />
      ) : found.error ? null : (
        <Waiting what="the state" />
      )}
    </>
  );
}
