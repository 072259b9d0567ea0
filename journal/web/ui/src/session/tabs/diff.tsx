// Diff: what lies between this record's state and an earlier one.

import { source } from "../../context.ts";
import { number } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { Changes } from "../../parts/changes.tsx";
import { choose, show } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

export function DiffTab({ model, seq, route }: TabProps) {
  const from = route.cmp ?? seq - 1;
  const found = useLoaded(`${model.id}/${from}/${seq}/${model.revision.value}`, () => source().diff(model.id, from, seq));
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      <form class="inline" onSubmit={(event) => event.preventDefault()}>
        <label>
          Compare with record{" "}
          <input
            type="number"
            min={1}
            max={model.rows.last.value}
            value={route.cmp ?? ""}
            placeholder={seq > 1 ? String(seq - 1) : "none"}
            onInput={(event) => {
              const value = event.currentTarget.valueAsNumber;
              show({ cmp: value >= 1 && value <= model.rows.last.value ? value : null });
            }}
          />
        </label>
        {route.cmp !== null && (
          <button type="button" class="quiet" onClick={() => show({ cmp: null })}>The record before</button>
        )}
        <button type="button" class="quiet" onClick={() => show({ cmp: seq })}>Keep {number(seq)} as the other side</button>
      </form>
      {found.error ? <Problem error={found.error} /> : null}
      {found.value ? (
        found.value.changes.length ? (
          <Changes
            changes={found.value.changes}
            total={found.value.total}
            onPath={(path) => show({ tab: "blame", path })}
            onVersion={(version) => choose(model, version)}
          />
        ) : (
          <p class="empty">
            {route.cmp === null
              ? "This record changed nothing of the session's state: it is part of the history alone."
              : "The state is the same at both records."}
          </p>
        )
      ) : found.error ? null : (
        <Waiting what="the difference" />
      )}
    </>
  );
}
