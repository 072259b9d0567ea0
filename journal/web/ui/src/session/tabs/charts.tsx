// Charts: activity, latency, tokens and cost, errors; each with its numbers as a table behind it.

import { clock, duration, moment, number } from "../../format.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { Chart } from "../../parts/chart.tsx";
import type { Charts } from "../../source.ts";
import { revealed } from "../../text/hidden.ts";
import { choose } from "../navigation.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

export function ChartsTab({ model, seq, route }: TabProps) {
  const [charts, error] = [model.charts.value, model.chartsError.value];
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      {error ? <Problem error={error} /> : null}
      {charts ? <All charts={charts} onChoose={(to) => choose(model, to)} /> : error ? null : <Waiting what="the charts" />}
    </>
  );
}

function All({ charts, onChoose }: { charts: Charts; onChoose(seq: number): void }) {
  const { activity, latency, usage, errors } = charts;
  const bySeq = { onChoose };
  let failed = 0;
  const tokens = usage.reduce((sum, each) => sum + each.input_tokens + each.output_tokens, 0);
  const cost = usage.reduce((sum, each) => sum + (each.cost ?? 0), 0);
  return (
    <>
      {charts.sampled && <p class="hint">There are more records than points: each chart shows a part of them.</p>}
      <Chart
        title="Activity"
        summary={activity[0] ? `records in stretches of ${duration(activity[0].seconds * 1000)}, UTC; silences are left out` : "records over time"}
        x={activity.map((_, n) => n)}
        xText={(n) => (activity[n] ? clock(activity[n].at) : "")}
        lines={[
          { label: "records", color: "chart-a", values: activity.map((each) => each.records), look: "bars" },
          { label: "errors", color: "error", values: activity.map((each) => each.errors), look: "bars" },
        ]}
        table={{
          columns: ["From (UTC)", "Records", "Errors"],
          rows: activity.filter((each) => each.records).map((each) => [moment(each.at), number(each.records), number(each.errors)]),
        }}
      />
      <Chart
        title="Latency"
        summary="from question to answer"
        {...bySeq}
        x={latency.map((each) => each.seq)}
        lines={[{ label: "seconds", color: "chart-b", values: latency.map((each) => each.ms / 1000), look: "points" }]}
        table={{
          columns: ["Record", "Time (UTC)", "Latency"],
          seqs: latency.map((each) => each.seq),
          rows: latency.map((each) => [number(each.seq), moment(each.at), duration(each.ms)]),
        }}
      />
      <Chart
        title="Tokens"
        summary={usage.length ? `${number(tokens)} tokens${cost ? `, cost ${cost.toFixed(4)}` : ""}` : "in and out of the model"}
        {...bySeq}
        x={usage.map((each) => each.seq)}
        lines={[
          { label: "in", color: "chart-a", values: usage.map((each) => each.input_tokens), look: "steps" },
          { label: "out", color: "chart-c", values: usage.map((each) => each.output_tokens), look: "steps" },
          ...(usage.some((each) => each.cost !== null)
            ? [{ label: "cost", color: "chart-b", values: usage.map((each) => each.cost), look: "steps" as const, scale: "cost" }]
            : []),
        ]}
        table={{
          columns: ["Record", "Model", "In", "Out", "Cost"],
          seqs: usage.map((each) => each.seq),
          rows: usage.map((each) => [
            number(each.seq), revealed(each.model), number(each.input_tokens), number(each.output_tokens),
            each.cost === null ? "" : String(each.cost),
          ]),
        }}
      />
      <Chart
        title="Errors"
        summary="counted up"
        {...bySeq}
        x={errors.map((each) => each.seq)}
        lines={[{ label: "errors so far", color: "error", values: errors.map(() => (failed += 1)), look: "steps" }]}
        table={{
          columns: ["Record", "Time (UTC)", "What"],
          seqs: errors.map((each) => each.seq),
          rows: errors.map((each) => [number(each.seq), moment(each.at), revealed(each.title)]),
        }}
      />
    </>
  );
}
