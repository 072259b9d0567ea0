// Integrity: whether what is there is what was written, in sentences.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { commandLine } from "../command.ts";
import { asSentence, source, store } from "../context.ts";
import { copy } from "../copy.ts";
import { counted, number } from "../format.ts";
import { useLoaded } from "../loaded.ts";
import { CommandLine, Problem, Waiting } from "../parts/basics.tsx";
import { formatRoute, toSession } from "../route.ts";
import type { Report, Verification } from "../source.ts";
import { revealed } from "../text/hidden.ts";
import { noteVerified } from "../verified.ts";

export function IntegrityScreen({ id }: { id: string | null }) {
  return id === null ? <OfAll /> : <OfOne id={id} />;
}

function OfOne({ id }: { id: string }) {
  const again = useSignal(0);
  const found = useLoaded(`${id}/${again.value}`, async () => {
    const verdict = await source().verify(id);
    noteVerified([{ id, ok: verdict.ok }]);
    return verdict;
  });
  const { exported } = source();
  return (
    <main class="page">
      <div class="page-head">
        <h1>Integrity of <a href={formatRoute(toSession(id))}>{revealed(id)}</a></h1>
        <button type="button" onClick={() => (again.value += 1)}>Check again</button>
      </div>
      <CommandLine line={commandLine(store.value.command, "verify", id)} />
      {found.error ? <Problem error={found.error} /> : null}
      {found.value ? <Sentences id={id} found={found.value} /> : found.error ? null : <Waiting what="the verdict" />}
      {found.value && exported && <OfFile />}
    </main>
  );
}

function Sentences({ id, found }: { id: string; found: Verification }) {
  const nothing = found.links.checked === 0 && found.findings.length === 0;
  return (
    <>
      <p class={`verdict-line ${nothing ? "neutral" : found.ok ? "good" : "bad"}`} role="status">
        <span aria-hidden="true">{nothing ? "–" : found.ok ? "✓" : "✗"}</span>
        {nothing
          ? source().exported
            ? "This copy has no hashes to check: it proves nothing."
            : "No record was ever acknowledged: there is nothing to check."
          : found.ok
            ? `All ${counted(found.links.checked, "record")} fit: each link of the chain holds, and each content fits its digest.`
            : found.trusted_to > 0
              ? `Something is wrong. Records 1 to ${number(found.trusted_to)} can still be trusted; what follows cannot.`
              : "Something is wrong, from the first record on: nothing here can be trusted."}
      </p>
      {found.findings.length > 0 && (
        <ol class="findings">
          {found.findings.map((finding) => (
            <li>
              <p>{revealed(asSentence(finding.sentence))}</p>
              <p class="muted">
                {finding.kind.replaceAll("_", " ")}
                {finding.offset !== null && finding.offset !== undefined && `, first bad byte ${number(finding.offset)}`}
                {finding.seq !== null && finding.seq !== undefined && (
                  <>
                    , record {number(finding.seq)}
                    {finding.seq > 1 && finding.seq - 1 <= found.trusted_to && (
                      <>; <a href={formatRoute(toSession(id, { seq: finding.seq - 1 }))}>look at the last good one</a></>
                    )}
                  </>
                )}
              </p>
            </li>
          ))}
        </ol>
      )}
      {found.notes.length > 0 && <ul class="notes">{found.notes.map((note) => <li>{revealed(asSentence(note))}</li>)}</ul>}
      <Chain found={found} id={id} />
      {found.head && (
        <section class="block" aria-labelledby="head">
          <h2 id="head">Head</h2>
          <p class="mono breaks head-hash">{found.head}</p>
          <p class="inline"><button type="button" class="quiet" onClick={() => void copy(found.head ?? "", "the head")}>Copy</button></p>
          <p class="hint">
            The chain shows that nothing in between was changed. It cannot show that the end was cut off, or that all of it
            was written anew: compare this head with one that was kept elsewhere, such as what <code>journal verify</code>{" "}
            printed then, or a seal.
          </p>
        </section>
      )}
    </>
  );
}

/** The chain as a bar: what can be trusted, and what cannot. */
function Chain({ found, id }: { found: Verification; id: string }) {
  if (!found.findings.length || found.links.checked === 0) return null;
  const bad = found.findings.find((each) => each.seq !== null && each.seq !== undefined)?.seq ?? null;
  const all = Math.max(found.version, bad ?? 0);
  return (
    <div class="chain-bar" role="img" aria-label={`Records 1 to ${found.trusted_to} of ${all} can be trusted`}>
      <div class="chain-good" style={{ width: `${(found.trusted_to / all) * 100}%` }} />
      <span class="chain-label"><a href={formatRoute(toSession(id, { seq: Math.max(1, found.trusted_to) }))}>1 to {number(found.trusted_to)}</a></span>
    </div>
  );
}

function OfFile() {
  const { exported } = source();
  if (!exported) return null;
  const hidden = Object.entries(exported.hidden ?? {});
  return (
    <section class="block" aria-labelledby="of-file">
      <h2 id="of-file">About this file</h2>
      {exported.redacted ? (
        <>
          <p>It is redacted, so its records are no longer those that the hashes were made of: it proves nothing by itself.</p>
          {hidden.length > 0 && (
            <table>
              <thead><tr><th scope="col">Hidden</th><th scope="col">Times</th></tr></thead>
              <tbody>{hidden.map(([kind, count]) => <tr><td>{kind.replaceAll("_", " ")}</td><td>{number(count)}</td></tr>)}</tbody>
            </table>
          )}
          {exported.head && <p>When it was made, the journal's head was <span class="mono breaks">{exported.head}</span></p>}
        </>
      ) : (
        <p>
          Your browser checked it just now, from its own bytes. Whoever made the file could have made all of it up, hashes
          too: only the head, compared with one from elsewhere, shows that this is the journal you mean.
        </p>
      )}
    </section>
  );
}

function OfAll() {
  const reports = useSignal<Report[]>([]);
  const state = useSignal<"running" | "done" | "failed">("running");
  const again = useSignal(0);
  useEffect(() => {
    reports.value = [];
    state.value = "running";
    let waiting: Report[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      reports.value = [...reports.value, ...waiting];
      noteVerified(waiting);
      waiting = [];
    };
    const stop = source().verifyAll(
      (one) => {
        waiting.push(one);
        timer ??= setTimeout(flush, 100);
      },
      () => {
        flush();
        state.value = "done";
      },
      () => {
        flush();
        state.value = "failed";
      },
    );
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [again.value]);
  const failed = reports.value.filter((each) => !each.ok);
  const well = reports.value.filter((each) => each.ok);
  const MOST = 300;
  return (
    <main class="page">
      <div class="page-head">
        <h1>Integrity of all sessions</h1>
        <button type="button" disabled={state.value === "running"} onClick={() => (again.value += 1)}>Check again</button>
      </div>
      <CommandLine line={commandLine(store.value.command, "verify", "--all")} />
      <p class={`verdict-line ${failed.length ? "bad" : state.value === "done" ? "good" : "neutral"}`} role="status">
        <span aria-hidden="true">{failed.length ? "✗" : state.value === "done" ? "✓" : "…"}</span>
        {failed.length
          ? `${counted(failed.length, "session")} of ${number(reports.value.length)} ${failed.length === 1 ? "is" : "are"} not as written.`
          : state.value === "done"
            ? reports.value.length === 1 ? "The one session is as it was written." : `All ${counted(reports.value.length, "session")} are as they were written.`
            : state.value === "failed"
              ? `The check broke off after ${counted(reports.value.length, "session")}.`
              : `${counted(reports.value.length, "session")} checked so far …`}
        {failed.length > 0 && state.value === "running" && " Still checking …"}
      </p>
      <ul class="reports">
        {[...failed, ...well.slice(-MOST).reverse()].map((each) => (
          <li key={each.id} class={each.ok ? "good" : "bad"}>
            <span class="report-sign" aria-hidden="true">{each.ok ? "✓" : "✗"}</span>
            <a href={formatRoute({ screen: "integrity", id: each.id })}>{revealed(each.id)}</a>
            <span class="muted">version {number(each.version)}</span>
            <span class="report-sentence">{revealed(asSentence(each.sentence))}</span>
          </li>
        ))}
      </ul>
      {well.length > MOST && <p class="muted">The last {MOST} of the {number(well.length)} that are well.</p>}
    </main>
  );
}
