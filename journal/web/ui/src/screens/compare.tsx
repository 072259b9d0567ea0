// Compare: two points, of one session or of two, side by side; forks move in lockstep from where they parted.

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { commandLine } from "../command.ts";
import { source, store } from "../context.ts";
import { clock, counted, number } from "../format.ts";
import { FixedHeights } from "../heights.ts";
import { useKeys } from "../keys.ts";
import { useLoaded } from "../loaded.ts";
import { CommandLine, Problem, Waiting } from "../parts/basics.tsx";
import { Changes } from "../parts/changes.tsx";
import { List } from "../parts/list.tsx";
import { go, replace } from "../place.ts";
import { type Route, address, formatRoute, point, toSession } from "../route.ts";
import { Rows } from "../rows.ts";
import { oneLine } from "../session/preview.ts";
import { useSettled } from "../session/settled.ts";
import type { Point, Row } from "../source.ts";
import { revealed } from "../text/hidden.ts";

type CompareRoute = Extract<Route, { screen: "compare" }>;

const HEIGHT = 46;

export function CompareScreen({ route }: { route: CompareRoute }) {
  const { left, right } = route;
  return (
    <main class="page wide-page compare-page">
      <div class="page-head">
        <h1>Compare</h1>
        <Picker key={`${left && address(left)} ${right && address(right)}`} route={route} />
      </div>
      {left && right ? (
        <Two key={`${left.session_id}\n${right.session_id}`} left={left} right={right} />
      ) : (
        <p class="empty">
          Type two points, such as s-42@7 and s-42-fork@9. Or open a session, choose a record, press c, go to another one,
          and press c again.
        </p>
      )}
    </main>
  );
}

function Picker({ route }: { route: CompareRoute }) {
  const problem = useSignal("");
  const read = async (text: string): Promise<Point | null> => {
    const typed = text.trim();
    const given = point(typed);
    if (given || !typed) return given;
    try {
      return { session_id: typed, version: (await source().session(typed)).last };
    } catch {
      return null;
    }
  };
  return (
    <form
      class="inline grow"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        void Promise.all([read(String(form.get("left"))), read(String(form.get("right")))]).then(([left, right]) => {
          problem.value = left && right ? "" : "Both sides need the address of a session, such as s-42@7.";
          if (left && right) go({ screen: "compare", left, right });
        });
      }}
    >
      <input name="left" class="filter mono" aria-label="Left point" placeholder="s-42@7" defaultValue={route.left ? address(route.left) : ""} autocomplete="off" spellcheck={false} />
      <span class="muted">with</span>
      <input name="right" class="filter mono" aria-label="Right point" placeholder="s-42-fork@9" defaultValue={route.right ? address(route.right) : ""} autocomplete="off" spellcheck={false} />
      <button type="submit">Compare</button>
      {problem.value && <span class="problem" role="alert">{problem.value}</span>}
    </form>
  );
}

function Two({ left, right }: { left: Point; right: Point }) {
  const isOne = left.session_id === right.session_id;
  const sides = useLoaded(`${left.session_id}\n${right.session_id}`, async () => {
    const [one, other] = await Promise.all([source().session(left.session_id), source().session(right.session_id)]);
    const ends = await source().compare({ ...left, version: one.last }, { ...right, version: other.last });
    return { left: one, right: other, parted: isOne ? 0 : (ends.ancestor?.version ?? 0) };
  });
  const isLocked = useSignal(!isOne);
  const versions = useSettled(left.version * 1e8 + right.version);
  const found = useLoaded(sides.value ? `${versions}` : null, () => source().compare(left, right));
  const lasts: [number, number] = [sides.value?.left.last ?? left.version, sides.value?.right.last ?? right.version];
  const parted = sides.value?.parted ?? 0;

  const to = (one: number, other: number) =>
    replace({
      screen: "compare",
      left: { ...left, version: Math.max(1, Math.min(one, lasts[0])) },
      right: { ...right, version: Math.max(1, Math.min(other, lasts[1])) },
    });
  const move = (side: 0 | 1, version: number) => {
    if (!isLocked.value) return side === 0 ? to(version, right.version) : to(left.version, version);
    // In lockstep both are as far from where they parted; the shorter one waits at its end.
    return to(version, version);
  };
  const step = (by: number) => {
    if (isLocked.value) {
      const from = Math.max(left.version, right.version);
      to(from + by, from + by);
    } else to(left.version + by, right.version + by);
  };
  useKeys(
    useMemo(
      () => ({
        j: () => step(1),
        k: () => step(-1),
        Home: () => to(Math.max(1, parted), Math.max(1, parted)),
        End: () => to(lasts[0], lasts[1]),
      }),
      [left, right, sides.value, isLocked.value],
    ),
  );
  if (sides.error) return <Problem error={sides.error} />;
  if (!sides.value) return <Waiting what="both sessions" />;
  return (
    <>
      <CommandLine line={commandLine(store.value.command, "diff", address(left), address(right))} />
      <div class="sides">
        <Side name="Left" at={left} last={lasts[0]} parted={parted} onMove={(version) => move(0, version)} />
        <Side name="Right" at={right} last={lasts[1]} parted={parted} onMove={(version) => move(1, version)} />
      </div>
      <p class="inline">
        {!isOne && (
          <label class="check">
            <input type="checkbox" checked={isLocked.value} onChange={(event) => (isLocked.value = event.currentTarget.checked)} /> In lockstep
          </label>
        )}
        <span class="hint">
          {isOne
            ? "Two points of one session."
            : parted
              ? `They are the same up to record ${number(parted)}, and parted after it.`
              : "They have no record in common."}
        </span>
        {!isOne && parted > 0 && (
          <button type="button" class="quiet" onClick={() => to(parted, parted)}>To where they parted</button>
        )}
      </p>
      <div class="compare-body">
        {!isOne && <Pairs left={left} right={right} lasts={lasts} parted={parted} onChoose={(version) => to(version, version)} />}
        <section class="differences" aria-label="Differences" tabIndex={0}>
          <h2>
            Differences {found.value && <span class="muted">{number(found.value.total ?? found.value.changes.length)}</span>}
          </h2>
          {found.error ? <Problem error={found.error} /> : null}
          {found.value ? (
            <Changes
              changes={found.value.changes}
              total={found.value.total ?? found.value.changes.length}
              onVersion={(version) => go(toSession(right.session_id, { seq: version, tab: "diff" }))}
            />
          ) : found.error ? null : (
            <Waiting what="the differences" />
          )}
        </section>
      </div>
    </>
  );
}

function Side(p: { name: string; at: Point; last: number; parted: number; onMove(version: number): void }) {
  return (
    <section class="side" aria-label={p.name}>
      <div class="side-head">
        <a href={formatRoute(toSession(p.at.session_id, { seq: p.at.version }))}>{revealed(p.at.session_id)}</a>
        <span><strong>{number(p.at.version)}</strong> <span class="muted">of {number(p.last)}</span></span>
        {p.parted > 0 && p.at.version > p.parted && <span class="muted">{number(p.at.version - p.parted)} after they parted</span>}
      </div>
      <input
        type="range"
        class="scrubber"
        aria-label={`${p.name}: record`}
        aria-valuetext={`Record ${p.at.version} of ${p.last}`}
        min={1}
        max={p.last}
        value={p.at.version}
        disabled={p.last < 2}
        onInput={(event) => p.onMove(Number(event.currentTarget.value))}
      />
    </section>
  );
}

/** The records of both behind where they parted, pair by pair. */
function Pairs(p: { left: Point; right: Point; lasts: [number, number]; parted: number; onChoose(version: number): void }) {
  const [one, other] = useMemo(
    () => [new Rows(p.left.session_id, p.lasts[0]), new Rows(p.right.session_id, p.lasts[1])],
    [p.left.session_id, p.right.session_id, p.lasts[0], p.lasts[1]],
  );
  // The last common record stands above them.
  const from = Math.max(1, p.parted);
  const count = Math.max(...p.lasts) - from + 1;
  const heights = useMemo(() => new FixedHeights(count, HEIGHT), [count]);
  const chosen = Math.max(p.left.version, p.right.version);
  return (
    <section class="pairs" aria-label="Records side by side">
      <h2>{p.parted ? "From where they parted" : "Records"} <span class="muted">{counted(count, "row")}</span></h2>
      <List
        class="pair-list"
        heights={heights}
        selected={chosen - from}
        version={`${one.version.value}/${other.version.value}`}
        onRange={(first, last) => {
          one.want(first + from, Math.min(last + from, p.lasts[0]));
          other.want(first + from, Math.min(last + from, p.lasts[1]));
        }}
        onClick={(event) => {
          const seq = Number((event.target as HTMLElement).closest<HTMLElement>("[data-seq]")?.dataset.seq);
          if (seq) p.onChoose(seq);
        }}
        attributes={{ role: "listbox", "aria-label": "Records side by side", "aria-activedescendant": `pair-${chosen}` }}
        render={(index) => {
          const seq = index + from;
          const isCommon = seq <= p.parted;
          return (
            <div key={seq} class={`pair ${isCommon ? "is-common" : ""}`} role="option" id={`pair-${seq}`} aria-selected={seq === chosen} data-seq={seq}>
              <span class="card-seq">{number(seq)}</span>
              <PairCell row={one.at(seq)} isThere={seq <= p.lasts[0]} isHere={seq === p.left.version} />
              {isCommon ? null : <PairCell row={other.at(seq)} isThere={seq <= p.lasts[1]} isHere={seq === p.right.version} />}
            </div>
          );
        }}
      />
    </section>
  );
}

function PairCell({ row, isThere, isHere }: { row: Row | undefined; isThere: boolean; isHere: boolean }) {
  if (!isThere) return <span class="pair-cell is-missing">–</span>;
  return (
    <span class={`pair-cell ${row ? `role-${row.role}` : ""} ${isHere ? "is-here" : ""}`}>
      <span class="pair-title">{row ? revealed(row.title) : ""} <span class="muted">{row ? clock(row.at) : ""}</span></span>
      <span class="pair-preview">{row ? oneLine(row.preview) : ""}</span>
    </span>
  );
}
