// Text of a session as elements: hidden characters marked, colours and Markdown as elements. Never markup.

import type { JSX } from "preact";
import { hasColours, styled } from "../text/ansi.ts";
import { reveal } from "../text/hidden.ts";
import { type Block, type Inline, parse } from "../text/markdown.ts";

/** A text, with what is hidden in it marked. */
export function Text({ text }: { text: string }): JSX.Element {
  const pieces = reveal(text);
  if (pieces.length === 1 && !pieces[0]?.mark) return <>{text}</>;
  return (
    <>
      {pieces.map((piece) =>
        piece.mark ? (
          <span class="hidden-mark" title={piece.mark.name}>
            {piece.mark.symbol}
          </span>
        ) : (
          piece.text
        ),
      )}
    </>
  );
}

/** What a program wrote to a terminal. */
export function Terminal({ text }: { text: string }): JSX.Element {
  if (!hasColours(text)) return <Text text={text} />;
  return (
    <>
      {styled(text).map((piece) => (piece.look ? <span class={piece.look}><Text text={piece.text} /></span> : <Text text={piece.text} />))}
    </>
  );
}

/** What a person or an agent said. */
export function Markdown({ text }: { text: string }): JSX.Element {
  return <div class="prose">{parse(text).map(asBlock)}</div>;
}

function asBlock(block: Block): JSX.Element {
  switch (block.kind) {
    case "paragraph":
      return <p>{block.inner.map(asInline)}</p>;
    case "heading":
      // Not h1 to h6: the page's own headings are its outline, what somebody said is not.
      return <p class={`heading level-${block.level}`}>{block.inner.map(asInline)}</p>;
    case "code":
      return (
        <pre tabIndex={0}>
          <code><Terminal text={block.text} /></code>
        </pre>
      );
    case "quote":
      return <blockquote>{block.blocks.map(asBlock)}</blockquote>;
    case "list": {
      const items = block.items.map((item) => <li>{asItem(item)}</li>);
      return block.isOrdered ? <ol start={block.start}>{items}</ol> : <ul>{items}</ul>;
    }
    case "rule":
      return <hr />;
  }
}

/** A list's item of one paragraph needs no paragraph around it. */
const asItem = (blocks: Block[]): JSX.Element[] =>
  blocks.map((block, n) => (n === 0 && block.kind === "paragraph" ? <>{block.inner.map(asInline)}</> : asBlock(block)));

function asInline(piece: Inline): JSX.Element {
  switch (piece.kind) {
    case "text":
      return <Text text={piece.text} />;
    case "code":
      return <code><Text text={piece.text} /></code>;
    case "strong":
      return <strong>{piece.inner.map(asInline)}</strong>;
    case "emphasis":
      return <em>{piece.inner.map(asInline)}</em>;
    case "link":
      return (
        <span class="link">
          <a href={piece.address} rel="noreferrer noopener" target="_blank">
            {piece.inner.map(asInline)}
          </a>
          {isItsAddress(piece) ? null : <span class="address"> ({piece.address})</span>}
        </span>
      );
  }
}

function isItsAddress(link: Extract<Inline, { kind: "link" }>): boolean {
  const label = link.inner.map((piece) => (piece.kind === "text" ? piece.text : "")).join("");
  return label.replace(/\/$/, "") === link.address.replace(/\/$/, "");
}
