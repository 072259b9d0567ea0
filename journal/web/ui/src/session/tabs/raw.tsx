// Raw: the record's line as it stands in the journal.

import { source } from "../../context.ts";
import { counted } from "../../format.ts";
import { useLoaded } from "../../loaded.ts";
import { CommandLine, Problem, Waiting } from "../../parts/basics.tsx";
import { Text } from "../../parts/text.tsx";
import { copy } from "../../copy.ts";
import { type TabProps, tabCommand } from "../screen.tsx";

// More is no reading; the whole is a click away.
const MOST = 100_000;

export function RawTab({ model, seq, route }: TabProps) {
  const found = useLoaded(`${model.id}/${seq}/${model.revision.value}`, () => source().line(model.id, seq));
  const address = source().lineAddress(model.id, seq);
  const line = found.value?.replace(/\n$/, "") ?? "";
  return (
    <>
      <CommandLine line={tabCommand(route, seq)} />
      {found.error ? <Problem error={found.error} /> : null}
      {found.value !== null ? (
        <>
          <p class="inline">
            <span class="hint">{counted(line.length, "character")}, as the journal holds them; hidden ones are marked.</span>
            {address && <a class="button quiet" href={address} download>Save the bytes</a>}
            <button type="button" class="quiet" onClick={() => void copy(line, "the line")}>Copy</button>
          </p>
          {line.includes("\ufffd") && <p class="problem">Some bytes may be no UTF-8; they are shown as �. Save the bytes to see them.</p>}
          <pre class="raw" tabIndex={0}><Parts line={line.slice(0, MOST)} /></pre>
          {line.length > MOST && <p class="muted">Cut after {counted(MOST, "character")}.</p>}
        </>
      ) : found.error ? null : (
        <Waiting what="the line" />
      )}
    </>
  );
}

/** The header, the hashes and the event in colours of their own: what the chain covers, and what the digest does. */
function Parts({ line }: { line: string }) {
  const found = /^(.*?)(,"chain":"[^"]*","salt":(?:"[^"]*"|null))(,"event":)(.*)$/s.exec(line);
  if (!found) return <Text text={line} />;
  return (
    <>
      <span class="raw-header" title="What the chain covers"><Text text={found[1] ?? ""} /></span>
      <span class="raw-proof" title="The chain, and the salt of the digest"><Text text={found[2] ?? ""} /></span>
      <span class="raw-header"><Text text={found[3] ?? ""} /></span>
      <span class="raw-event" title="What the digest covers"><Text text={found[4] ?? ""} /></span>
    </>
  );
}
