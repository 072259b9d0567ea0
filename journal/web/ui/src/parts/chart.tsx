// Chart: numbers as a picture, and as a table for who cannot see it or wants them exactly.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { counted } from "../format.ts";
import { colour, isDark } from "../theme.ts";

interface Line {
  label: string;
  /** The name of a colour of the theme. */
  color: string;
  values: (number | null)[];
  look: "bars" | "points" | "steps";
  scale?: string;
}

interface Props {
  title: string;
  summary: string;
  x: number[];
  lines: Line[];
  /** What stands below the axis for a place on it; else its number. */
  xText?(x: number): string;
  table: { columns: string[]; rows: string[][]; seqs?: number[] };
  /** A record was chosen, where x counts records. */
  onChoose?(seq: number): void;
}

const HEIGHT = 150;
const MOST_ROWS = 500;

export function Chart(p: Props) {
  return (
    <section class="chart" aria-label={p.title}>
      <h2>{p.title} <span class="muted">{p.summary}</span></h2>
      {p.x.length ? (
        <>
          <Picture {...p} />
          <Legend lines={p.lines} />
          <Table {...p} />
        </>
      ) : (
        <p class="empty">Nothing was recorded.</p>
      )}
    </section>
  );
}

function Picture(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const plot = new uPlot(options(p, element.clientWidth || 400), [p.x, ...p.lines.map((line) => line.values)], element);
    const observer = new ResizeObserver(() => {
      if (element.clientWidth && element.clientWidth !== plot.width) plot.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [dark, p.x, p.lines.length]);
  return <div ref={box} class="plot" aria-hidden="true" />;
}

function options(p: Props, width: number): uPlot.Options {
  const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1, size: 4 } };
  const hasCost = p.lines.some((line) => line.scale);
  // One point alone has no width: room on both sides.
  const [first = 0, last = 1] = [p.x[0], p.x.at(-1)];
  const room = first === last ? 1 : (last - first) * 0.02;
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    padding: [8, 12, 0, 0],
    scales: { x: { time: false, range: [first - room, last + room] }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(1e-9, (high ?? 1) * 1.08)] } },
    axes: [
      { ...axis, size: 28, space: 70, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], values: (_, ticks) => ticks.map((tick) => p.xText?.(tick) ?? brief(tick)) },
      { ...axis, size: 46, values: (_, ticks) => ticks.map(brief) },
      ...(hasCost ? [{ ...axis, scale: "cost", side: 1 as const, size: 52, grid: { show: false } }] : []),
    ],
    series: [
      {},
      ...p.lines.map((line): uPlot.Series => {
        const ink = colour(line.color);
        return {
          label: line.label,
          stroke: ink,
          width: line.look === "points" ? 1 : 1.5,
          ...(line.scale ? { scale: line.scale, dash: [4, 3] } : {}),
          ...(line.look === "bars" ? { paths: uPlot.paths.bars?.({ size: [0.9, 40], align: 1 }), fill: ink, width: 0, points: { show: false } } : {}),
          ...(line.look === "steps" ? { paths: uPlot.paths.stepped?.({ align: 1 }), points: { show: p.x.length < 60, size: 4, fill: ink } } : {}),
          ...(line.look === "points" ? { paths: () => null, points: { show: true, size: 5, fill: ink, width: 0 } } : {}),
        };
      }),
    ],
    hooks: {
      ready: [
        (plot) => {
          if (!p.onChoose) return;
          plot.over.addEventListener("click", () => {
            const seq = p.x[plot.cursor.idx ?? -1];
            if (seq !== undefined) p.onChoose?.(seq);
          });
        },
      ],
    },
  };
}

const brief = (n: number | null): string =>
  n === null ? "" : Math.abs(n) >= 1e6 ? `${n / 1e6}M` : Math.abs(n) >= 1e4 ? `${n / 1e3}k` : String(Number(n.toPrecision(6)));

const Legend = ({ lines }: { lines: Line[] }) => (
  <p class="legend" aria-hidden="true">
    {lines.map((line) => (
      <span><span class={`swatch ${line.color}`} /> {line.label}</span>
    ))}
  </p>
);

function Table(p: Props) {
  const [isOpen, setOpen] = useState(false);
  const { columns, rows, seqs } = p.table;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{counted(rows.length, "row")} as a table</summary>
      {isOpen && (
        <div class="table-box" tabIndex={0} role="region" aria-label={`${p.title} as a table`}>
          <table>
            <thead><tr>{columns.map((name) => <th scope="col">{name}</th>)}</tr></thead>
            <tbody>
              {rows.slice(0, MOST_ROWS).map((cells, n) => (
                <tr>
                  {cells.map((cell, column) =>
                    column === 0 && seqs ? (
                      <td><button type="button" class="linklike" onClick={() => p.onChoose?.(seqs[n] ?? 1)}>{cell}</button></td>
                    ) : (
                      <td>{cell}</td>
                    ),
                  )}
                </tr>
              ))}
            </tbody>
          </table>
          {rows.length > MOST_ROWS && <p class="muted">The first {MOST_ROWS}.</p>}
        </div>
      )}
    </details>
  );
}
