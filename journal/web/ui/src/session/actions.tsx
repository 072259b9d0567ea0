// Actions that write: fork, rewind, erase; each says first what exactly will happen.

import { useSignal } from "@preact/signals";
import { inWords, say, source } from "../context.ts";
import { counted, number } from "../format.ts";
import { Dialog } from "../parts/basics.tsx";
import { go } from "../place.ts";
import { toSession } from "../route.ts";
import { revealed } from "../text/hidden.ts";
import type { SessionModel } from "./model.ts";
import { follow } from "./navigation.ts";

export type Action = "fork" | "rewind" | "erase";

interface Props {
  action: Action;
  model: SessionModel;
  seq: number;
  onClose(): void;
}

export function ActionDialog(p: Props) {
  switch (p.action) {
    case "fork":
      return <ForkDialog {...p} />;
    case "rewind":
      return <RewindDialog {...p} />;
    case "erase":
      return <EraseDialog {...p} />;
  }
}

/** What all three have: a button that works once, and says what went wrong. */
function useDoing(): { problem: string | null; isBusy: boolean; run(what: () => Promise<void>): Promise<void> } {
  const problem = useSignal<string | null>(null);
  const isBusy = useSignal(false);
  return {
    problem: problem.value,
    isBusy: isBusy.value,
    async run(what) {
      problem.value = null;
      isBusy.value = true;
      try {
        await what();
      } catch (error) {
        problem.value = inWords(error);
      }
      isBusy.value = false;
    },
  };
}

function ForkDialog({ model, seq, onClose }: Props) {
  const doing = useDoing();
  const name = useSignal("");
  return (
    <Dialog title="Fork here" onClose={onClose}>
      <p>
        A new session begins with copies of records 1 to {number(seq)} of <strong>{revealed(model.id)}</strong>. This session
        stays exactly as it is. The fork can prove where it came from.
      </p>
      <label class="field">
        Name of the fork
        <input value={name.value} placeholder="one is made up if you leave this empty" onInput={(event) => (name.value = event.currentTarget.value)} />
      </label>
      <Buttons
        doing={doing}
        label="Make the fork"
        onClose={onClose}
        onDo={async () => {
          const id = await source().fork(model.id, seq, name.value.trim() || null);
          onClose();
          say(`Forked into ${id}`);
          go(toSession(id));
        }}
      />
    </Dialog>
  );
}

function RewindDialog({ model, seq, onClose }: Props) {
  const doing = useDoing();
  const last = model.rows.last.value;
  return (
    <Dialog title={`Rewind to record ${number(seq)}`} onClose={onClose}>
      <p>
        One record, number {number(last + 1)}, is added to <strong>{revealed(model.id)}</strong>. It makes the session's
        state again what it was right after record {number(seq)}.
      </p>
      <p>
        Nothing is removed: the {counted(last - seq, "record")} after it stay in the history, and the rewind itself can be rewound.
        If somebody else adds a record first, nothing is written.
      </p>
      <Buttons
        doing={doing}
        label="Rewind"
        onClose={onClose}
        onDo={async () => {
          const version = await source().rewind(model.id, seq, last);
          onClose();
          say(`Rewound; the session is at version ${version}`);
          follow(model);
        }}
      />
    </Dialog>
  );
}

function EraseDialog({ model, seq, onClose }: Props) {
  const doing = useDoing();
  const reason = useSignal("");
  const from = useSignal(seq);
  const to = useSignal(seq);
  const dry = useSignal<{ asked: string; found: Record<string, number[]> } | null>(null);
  const versions = Array.from({ length: Math.max(0, Math.min(to.value - from.value + 1, 10_000)) }, (_, n) => from.value + n);
  const asked = `${from.value}..${to.value}`;
  const isShown = dry.value?.asked === asked;
  const numberField = (label: string, field: typeof from) => (
    <label>
      {label}{" "}
      <input
        type="number"
        min={1}
        max={model.rows.last.value}
        value={field.value}
        onInput={(event) => {
          const value = event.currentTarget.valueAsNumber;
          if (value >= 1) field.value = value;
        }}
      />
    </label>
  );
  return (
    <Dialog title="Erase content for good" onClose={onClose} class="danger">
      <p>
        The content of these records is taken out of <strong>{revealed(model.id)}</strong>, of every fork that copied them,
        and of what else keeps it. <strong>It cannot be brought back.</strong> Their numbers, times and hashes stay, and so
        does the proof of all the rest. One more record says what was erased, and why.
      </p>
      <p class="inline">{numberField("Records", from)} {numberField("to", to)}</p>
      <label class="field">
        Reason, which stays in the journal
        <input value={reason.value} required onInput={(event) => (reason.value = event.currentTarget.value)} />
      </label>
      {isShown && dry.value && <DryRun found={dry.value.found} />}
      {isShown ? (
        <Buttons
          doing={doing}
          label="Erase for good"
          isDangerous
          isDisabled={!reason.value.trim() || Object.keys(dry.value?.found ?? {}).length === 0}
          onClose={onClose}
          onDo={async () => {
            await source().erase(model.id, versions, reason.value.trim(), false);
            onClose();
            say("Erased");
            await model.readAgain();
          }}
        />
      ) : (
        <Buttons
          doing={doing}
          label="Show what would go"
          isDisabled={!reason.value.trim() || versions.length === 0}
          onClose={onClose}
          onDo={async () => {
            dry.value = { asked, found: await source().erase(model.id, versions, reason.value.trim(), true) };
          }}
        />
      )}
    </Dialog>
  );
}

function DryRun({ found }: { found: Record<string, number[]> }) {
  const sessions = Object.entries(found);
  if (!sessions.length) return <p class="hint">There is nothing left to erase in these records.</p>;
  return (
    <div class="dry-run" role="status" tabIndex={0}>
      <p>This would go:</p>
      <ul>
        {sessions.map(([id, versions]) => (
          <li>
            <strong>{revealed(id)}</strong>: {counted(versions.length, "record")}, {versions.slice(0, 20).join(", ")}
            {versions.length > 20 ? " …" : ""}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Buttons(p: {
  doing: ReturnType<typeof useDoing>;
  label: string;
  isDangerous?: boolean;
  isDisabled?: boolean;
  onClose(): void;
  onDo(): Promise<void>;
}) {
  return (
    <>
      {p.doing.problem && <p class="problem" role="alert">{p.doing.problem}</p>}
      <div class="dialog-buttons">
        <button type="button" class="quiet" onClick={p.onClose}>Cancel</button>
        <button
          type="button"
          class={p.isDangerous ? "danger" : "primary"}
          disabled={p.isDisabled || p.doing.isBusy}
          onClick={() => void p.doing.run(p.onDo)}
        >
          {p.label}
        </button>
      </div>
    </>
  );
}
