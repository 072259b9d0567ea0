// Minimap: the whole session in a strip: how densely records came, where it was slow, where it failed.

import { useEffect, useRef, useState } from "preact/hooks";
import { counted, duration, number } from "../format.ts";
import type { Charts, StripColumn } from "../source.ts";
import { colour, isDark } from "../theme.ts";

const HEIGHT = 52;
const ERRORS = 5;
const MARKS = 8;

interface Props {
  columns: StripColumn[];
  charts: Charts | null;
  last: number;
  seq: number;
  /** Records at which a watched value changed, one list a path. */
  marks: number[][];
  onChoose(seq: number): void;
}

export function Minimap(p: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  const [hover, setHover] = useState<number | null>(null);
  const dark = isDark.value;

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, width, p);
  }, [width, dark, p.columns, p.charts, p.last, p.marks]);

  const at = (event: PointerEvent): number => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return 1;
    const part = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    return Math.round(1 + part * (p.last - 1));
  };
  const part = (seq: number) => (p.last > 1 ? (seq - 1) / (p.last - 1) : 0);
  return (
    <div class="minimap" aria-hidden="true">
      <canvas
        ref={canvas}
        height={HEIGHT}
        onPointerDown={(event: PointerEvent) => {
          canvas.current?.setPointerCapture(event.pointerId);
          if (p.last) p.onChoose(at(event));
        }}
        onPointerMove={(event: PointerEvent) => {
          setHover(at(event));
          if (event.buttons & 1 && p.last) p.onChoose(at(event));
        }}
        onPointerLeave={() => setHover(null)}
      />
      <div class="minimap-cursor" style={{ left: `${part(p.seq) * 100}%` }} />
      {hover !== null && p.last > 0 && (
        // On the side where there is room for it.
        <div class="minimap-hint" style={part(hover) < 0.5 ? { left: `${part(hover) * 100}%` } : { right: `${(1 - part(hover)) * 100}%` }}>
          {hint(p.columns, hover)}
        </div>
      )}
    </div>
  );
}

/** What stands in the minimap at a record, in words. */
function hint(columns: StripColumn[], seq: number): string {
  const column = columns.find((each) => each.first <= seq && seq <= each.last);
  return [
    `record ${number(seq)}`,
    column?.errors ? counted(column.errors, "error") : "",
    column?.slowest_ms ? `slowest ${duration(column.slowest_ms)}` : "",
  ].filter(Boolean).join(" · ");
}

function draw(canvas: HTMLCanvasElement, width: number, p: Props): void {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const to = canvas.getContext("2d");
  if (!to) return;
  to.scale(scale, scale);
  to.clearRect(0, 0, width, HEIGHT);
  const x = (seq: number) => (p.last > 1 ? ((seq - 1) / (p.last - 1)) * width : width / 2);
  const rates = densities(p.columns, p.charts);
  const densest = Math.max(...rates, 1e-9);
  const slowest = Math.max(1, ...p.columns.map((column) => column.slowest_ms ?? 0));
  const floor = HEIGHT - MARKS;
  const room = floor - ERRORS - 2;

  to.fillStyle = colour("map-bar");
  p.columns.forEach((column, n) => {
    const height = 3 + (room - 3) * Math.sqrt((rates[n] ?? 0) / densest);
    const left = x(column.first);
    to.fillRect(left, floor - height, Math.max(1.5, x(column.last + 1) - left - 0.75), height);
  });

  to.fillStyle = colour("map-slow");
  for (const column of p.columns) {
    if (!column.slowest_ms) continue;
    const height = (room * Math.log1p(column.slowest_ms)) / Math.log1p(slowest);
    const left = x(column.first);
    to.fillRect(left, floor - height - 1, Math.max(2.5, x(column.last + 1) - left - 0.75), 2.5);
  }

  to.fillStyle = colour("error");
  for (const column of p.columns) {
    if (!column.errors) continue;
    const left = x(column.first);
    to.fillRect(left, 0, Math.max(2.5, x(column.last + 1) - left - 0.75), ERRORS);
  }

  p.marks.forEach((versions, n) => {
    to.fillStyle = colour(`mark-${n % 4}`);
    for (const version of versions) to.fillRect(x(version) - 1, floor + 1.5, 2.5, MARKS - 2);
  });
}

/** How many records a second came in each column: by the times of the activity, which are by time, not by record. */
function densities(columns: StripColumn[], charts: Charts | null): number[] {
  const buckets = charts?.activity.filter((each) => each.records > 0) ?? [];
  if (buckets.length < 2) return columns.map((column) => column.records);
  let bucket = 0;
  let behind = buckets[0]?.records ?? 0;
  return columns.map((column) => {
    while (behind < column.first && bucket < buckets.length - 1) {
      bucket += 1;
      behind += buckets[bucket]?.records ?? 0;
    }
    const here = buckets[bucket];
    return here ? here.records / Math.max(here.seconds, 0.001) : 0;
  });
}
