// Events: the records as rows of one height, one line each.

import { useMemo } from "preact/hooks";
import { clock, duration, number, size } from "../format.ts";
import { FixedHeights } from "../heights.ts";
import { List } from "../parts/list.tsx";
import type { Row } from "../source.ts";
import { revealed } from "../text/hidden.ts";
import { holdsHidden, oneLine } from "./preview.ts";
import type { Column } from "./columns.ts";
import type { SessionModel } from "./model.ts";

const HEIGHT = 28;

interface Props {
  model: SessionModel;
  seq: number;
  isAtEnd: boolean;
  marked: Set<number>;
  /** The watched values, each beside every record. */
  columns: Column[];
  onChoose(seq: number): void;
  onScroll(isAtEnd: boolean): void;
}

export function Events(p: Props) {
  const { rows } = p.model;
  const last = rows.last.value;
  const heights = useMemo(() => new FixedHeights(last, HEIGHT), [p.model]);
  heights.resize(last);
  return (
    <List
      class="events"
      heights={heights}
      selected={p.seq - 1}
      isAtEnd={p.isAtEnd}
      version={`${rows.version.value}/${last}/${p.columns.map((each) => each.path).join("\n")}`}
      onScroll={p.onScroll}
      onRange={(first, end) => rows.want(first + 1, end + 1)}
      onClick={(event) => {
        const seq = Number((event.target as HTMLElement).closest<HTMLElement>("[data-seq]")?.dataset.seq);
        if (seq) p.onChoose(seq);
      }}
      attributes={{ role: "listbox", "aria-label": "Records", "aria-activedescendant": `event-${p.seq}` }}
      render={(index) => (
        // Without a key: a row that comes into sight takes the place of one that left.
        <EventRow
          seq={index + 1}
          last={last}
          row={rows.at(index + 1)}
          columns={p.columns}
          isChosen={index + 1 === p.seq}
          isMarked={p.marked.has(index + 1)}
        />
      )}
    />
  );
}

interface RowProps {
  seq: number;
  last: number;
  row: Row | undefined;
  columns: Column[];
  isChosen: boolean;
  isMarked: boolean;
}

function EventRow(p: RowProps) {
  const { row } = p;
  return (
    <div
      class={`event ${row ? `role-${row.role}` : ""} ${row?.is_error ? "is-error" : ""} ${p.isMarked ? "is-marked" : ""}`}
      role="option"
      id={`event-${p.seq}`}
      data-seq={p.seq}
      aria-selected={p.isChosen}
      aria-posinset={p.seq}
      aria-setsize={p.last}
    >
      <span class="event-seq">{number(p.seq)}</span>
      <span class="event-time">{row ? clock(row.at) : ""}</span>
      <span class="event-title">{row ? revealed(row.title) : ""}</span>
      <span class="event-preview">{row ? oneLine(row.preview) : ""}</span>
      <span class="event-facts">
        {p.columns.map((each) => (
          <span key={each.path} class="event-column mono" title={`${each.path}, after this record`}>{each.at(p.seq)}</span>
        ))}
        {row && holdsHidden(row) && <span class="badge warn" title="Holds hidden characters">hidden</span>}
        {row?.is_erased && <span class="badge">erased</span>}
        {row && row.attachments.length > 0 && <span class="badge" title="Attachments">⌘ {row.attachments.length}</span>}
        {row?.duration_ms ? <span>{duration(row.duration_ms)}</span> : null}
        {row && <span class="event-size">{size(row.size_bytes)}</span>}
      </span>
    </div>
  );
}

