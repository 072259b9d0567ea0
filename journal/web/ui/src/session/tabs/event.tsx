// Event: one record in full, what is attached to it, and what can be done from here.

import { useSignal } from "@preact/signals";
import { source, store } from "../../context.ts";
import { exactClock, day, number, short } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { Attachments } from "../../parts/attachments.tsx";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { JsonTree } from "../../parts/json.tsx";
import type { StoredRecord } from "../../source.ts";
import { revealed } from "../../text/hidden.ts";
import { type Action, ActionDialog } from "../actions.tsx";
import { choose } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

export function EventTab(p: TabProps) {
  const { model, seq, route } = p;
  const action = useSignal<Action | null>(null);
  const found = useLoaded(`${model.id}/${seq}/${model.revision.value}`, () => source().record(model.id, seq));
  const row = model.rows.at(seq);
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      {found.error ? <Problem error={found.error} /> : null}
      {found.value ? <Facts {...p} stored={found.value} /> : found.error ? null : <Waiting what="the record" />}
      {found.value && (
        <>
          <h2 class="event-type">{revealed(String(found.value.event.type))}</h2>
          <JsonTree key={found.value.record.id} value={withoutType(found.value)} />
          {found.value.cut.map((cut) => (
            <p class="muted">
              {cut.path} is cut: it has {number(cut.characters)} characters. The whole is in the record's line (Raw).
            </p>
          ))}
        </>
      )}
      {row && <Attachments items={row.attachments} />}
      {store.value.allow_write && found.value && (
        <div class="actions" role="group" aria-label="Change the session">
          <button type="button" onClick={() => (action.value = "fork")}>Fork here …</button>
          <button type="button" disabled={seq === model.rows.last.value} onClick={() => (action.value = "rewind")}>Rewind to here …</button>
          <button type="button" class="danger" disabled={row?.is_erased} onClick={() => (action.value = "erase")}>Erase this …</button>
        </div>
      )}
      {action.value && <ActionDialog action={action.value} model={model} seq={seq} onClose={() => (action.value = null)} />}
    </>
  );
}

function withoutType(stored: StoredRecord): { [key: string]: StoredRecord["event"][string] } {
  const { type: _, ...rest } = stored.event;
  return rest;
}

function Facts({ model, seq, stored }: TabProps & { stored: StoredRecord }) {
  const { record, link } = stored;
  const batch = record.batch && record.batch.last > record.batch.first ? record.batch : null;
  const partner = partnerOf(model, seq);
  return (
    <dl class="facts">
      <dt>Record</dt>
      <dd>
        {number(record.seq)}
        {batch && <span class="muted"> of the batch {number(batch.first)} to {number(batch.last)}, written as one</span>}
      </dd>
      <dt>Time</dt>
      <dd>{day(record.at)} <span class="mono">{exactClock(record.at)}</span> <span class="muted">UTC</span></dd>
      {record.by && <><dt>By</dt><dd>{revealed(record.by)}</dd></>}
      {record.key && <><dt>Key</dt><dd class="mono">{revealed(record.key)}</dd></>}
      {record.cause && <><dt>Cause</dt><dd class="mono">{revealed(record.cause)}</dd></>}
      {partner && (
        <>
          <dt>{partner.word}</dt>
          <dd><button type="button" class="linklike" onClick={() => choose(model, partner.seq)}>record {number(partner.seq)}</button></dd>
        </>
      )}
      <dt>Id</dt>
      <dd class="mono breaks">{record.id}</dd>
      {record.chain && (
        <>
          <dt>Chain</dt>
          <dd class="mono" title={record.chain}>
            {link?.previous_chain ? `${short(link.previous_chain)} → ` : ""}{short(record.chain)}{" "}
            {link && <span class={link.holds ? "verdict good" : "verdict bad"}>{link.holds ? "✓ link holds" : "✗ link is broken"}</span>}
          </dd>
        </>
      )}
    </dl>
  );
}

/** The call that a result belongs to, or the other way round, among the rows that are here. */
function partnerOf(model: TabProps["model"], seq: number): { seq: number; word: string } | null {
  const row = model.rows.at(seq);
  if (!row?.call_id) return null;
  const direction = row.type === "tool_called" ? 1 : -1;
  for (let n = seq + direction; n > 0 && Math.abs(n - seq) < 200; n += direction) {
    const other = model.rows.at(n);
    if (other?.call_id === row.call_id && other.type !== row.type)
      return { seq: n, word: direction > 0 ? "Result" : "Call" };
  }
  return null;
}
