// Transport: the scrubber, and the buttons that move it.

import { clock, day, number } from "../format.ts";
import type { SessionModel } from "./model.ts";
import { choose, chosen, follow, seek } from "./navigation.ts";
import { SPEEDS, isPlaying, speed, togglePlay } from "./play.ts";

export function Transport({ model }: { model: SessionModel }) {
  const last = model.rows.last.value;
  const seq = chosen(model);
  model.rows.version.value; // the time below comes with the row
  const row = model.rows.at(seq);
  const said = row ? `${row.title}, ${day(row.at)} ${clock(row.at)} UTC` : "";
  return (
    <div class="transport">
      <input
        type="range"
        class="scrubber"
        min={1}
        max={Math.max(1, last)}
        step={1}
        value={seq}
        disabled={last < 2}
        aria-label="Record"
        aria-valuetext={`Record ${seq} of ${last}. ${said}`}
        onInput={(event) => choose(model, Number(event.currentTarget.value))}
      />
      <div class="transport-row">
        <div class="buttons" role="group" aria-label="Move through the records">
          <Key label="First record" sign="⇤" does={() => choose(model, 1)} />
          <Key label="Previous turn ([)" sign="«" does={() => void seek(model, -1, "turn")} />
          <Key label="Previous record (k)" sign="‹" does={() => choose(model, seq - 1)} />
          <Key label={isPlaying.value ? "Pause (Space)" : "Play (Space)"} sign={isPlaying.value ? "❚❚" : "▶"} does={() => togglePlay(model)} />
          <Key label="Next record (j)" sign="›" does={() => choose(model, seq + 1)} />
          <Key label="Next turn (])" sign="»" does={() => void seek(model, 1, "turn")} />
          <Key label="Last record" sign="⇥" does={() => follow(model)} />
          <button
            type="button"
            class="quiet speed"
            title="Speed of play"
            aria-label={`Speed ${speed.value} times`}
            onClick={() => {
              speed.value = SPEEDS[(SPEEDS.indexOf(speed.value as 1) + 1) % SPEEDS.length] ?? 1;
            }}
          >
            {speed.value}×
          </button>
        </div>
        <div class="readout">
          <strong>{number(seq)}</strong>
          <span class="muted"> of {number(last)}</span>
          <span class="readout-time muted">{row ? `${day(row.at)} ${clock(row.at)}` : "\u00a0"}</span>
          {row && row.turn > 0 && <span class="readout-turn muted">turn {row.turn}</span>}
        </div>
        <Errors model={model} />
      </div>
    </div>
  );
}

function Errors({ model }: { model: SessionModel }) {
  return (
    <div class="buttons" role="group" aria-label="Move between errors">
      <Key label="Previous error (E)" sign="‹!" does={() => void seek(model, -1, "error")} />
      <Key label="Next error (e)" sign="!›" does={() => void seek(model, 1, "error")} />
    </div>
  );
}

function Key(p: { label: string; sign: string; does(): void }) {
  return (
    <button type="button" class="key" title={p.label} aria-label={p.label} onClick={p.does}>
      <span aria-hidden="true">{p.sign}</span>
    </button>
  );
}
