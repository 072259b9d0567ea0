// List: a window onto many items, of which only those in sight are in the document.

import type { AriaRole, ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";
import type { Heights } from "../heights.ts";

// Browsers cap how high an element can be; past this the scrollbar moves more than a pixel for a pixel.
const MAX_HEIGHT = 30_000_000;
const OVERSCAN = 300;
// Room that is left above and below an item that was moved to.
const MARGIN = 36;

interface Props {
  heights: Heights;
  /** Draws one item; each must be one element. */
  render(index: number): JSX.Element;
  /** The item to bring into sight when it changes. */
  selected?: number | null;
  /** Keep the end in sight as items come. */
  isAtEnd?: boolean;
  /** A person scrolled; says whether the end is in sight. */
  onScroll?(isAtEnd: boolean): void;
  /** Which items are drawn. */
  onRange?(first: number, last: number): void;
  onClick?(event: MouseEvent): void;
  /** Changes when what the items show does. */
  version?: unknown;
  class?: string;
  attributes?: { role: AriaRole; [name: `aria-${string}`]: string | number };
  header?: ComponentChildren;
}

export function List(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  // Which item is at the upper edge, and how far it is above it. All else follows: so what is in sight stays,
  // whatever is measured above it.
  const anchor = useRef({ index: 0, offset: 0 });
  const ours = useRef(-1);
  const drawn = useRef({ first: 0, last: -1 });
  const sizes = useRef<ResizeObserver | null>(null);
  const isAtEnd = useRef(p.isAtEnd ?? false);
  isAtEnd.current = p.isAtEnd ?? false;

  const { heights } = p;
  const view = () => box.current?.clientHeight || 600;
  const total = () => heights.total();
  const scrolled = () => Math.max(0, Math.min(total() - view(), heights.top(anchor.current.index) + anchor.current.offset));
  // How many pixels of the items a pixel of the scrollbar is.
  const ratio = () => (total() > MAX_HEIGHT ? (total() - view()) / (MAX_HEIGHT - view()) : 1);

  const anchorTo = (top: number) => {
    const place = Math.max(0, Math.min(total() - view(), top));
    const index = heights.at(place);
    anchor.current = { index, offset: place - heights.top(index) };
  };

  const place = () => {
    const element = box.current;
    if (!element) return;
    if (isAtEnd.current) anchorTo(total());
    const top = scrolled() / ratio();
    if (Math.abs(element.scrollTop - top) >= 1) element.scrollTop = top;
    ours.current = element.scrollTop;
  };

  const bring = (index: number) => {
    const top = heights.top(index);
    const height = heights.height(index);
    const [from, to] = [scrolled(), scrolled() + view()];
    if (top >= from && top + Math.min(height, 60) <= to) return;
    if (top >= from && top < to + view() / 2) anchorTo(top + Math.min(height, view() - MARGIN) + MARGIN - view());
    else if (top < from && top > from - view() / 2) anchorTo(top - MARGIN);
    else anchor.current = { index, offset: -Math.round(view() * 0.3) };
    place();
  };

  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => redraw(0));
    if (box.current) observer.observe(box.current);
    sizes.current = observer;
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    if (p.selected !== undefined && p.selected !== null && p.selected >= 0 && !isAtEnd.current) {
      bring(p.selected);
      redraw(0);
    }
  }, [p.selected, heights, heights.count > 0]);

  useLayoutEffect(() => {
    // Measure what was drawn; if it is of another height, what is in sight stays where it is.
    let isChanged = false;
    const { first } = drawn.current;
    const items = inner.current?.children ?? [];
    for (let n = 0; n < items.length; n += 1) {
      const item = items[n] as HTMLElement;
      if (heights.set(first + n, item.offsetHeight)) isChanged = true;
      sizes.current?.observe(item);
    }
    place();
    const [low, high] = range();
    if (isChanged || low < drawn.current.first || high > drawn.current.last) redraw(0);
  });

  const range = (): [number, number] => {
    const top = scrolled();
    return [heights.at(top - OVERSCAN), Math.min(heights.count - 1, heights.at(top + view() + OVERSCAN))];
  };

  if (isAtEnd.current) anchorTo(total());
  const [first, last] = heights.count ? range() : [0, -1];
  drawn.current = { first, last };
  useEffect(() => {
    if (last >= first) p.onRange?.(first, last);
  }, [first, last, p.version]);

  const onScroll = () => {
    const element = box.current;
    if (!element || Math.abs(element.scrollTop - ours.current) < 2) return;
    ours.current = element.scrollTop;
    anchorTo(element.scrollTop * ratio());
    p.onScroll?.(element.scrollTop + element.clientHeight >= element.scrollHeight - 4);
    redraw(0);
  };

  const height = Math.min(total(), MAX_HEIGHT);
  const shift = heights.top(first) - scrolled() + scrolled() / ratio();
  const items: JSX.Element[] = [];
  for (let index = first; index <= last; index += 1) items.push(p.render(index));
  return (
    <div ref={box} class={`list ${p.class ?? ""}`} tabIndex={0} onScroll={onScroll} onClick={p.onClick} {...p.attributes}>
      {p.header}
      <div class="list-space" role="presentation" style={{ height: `${height}px` }}>
        <div ref={inner} class="list-items" role="presentation" style={{ transform: `translateY(${shift}px)` }}>
          {items}
        </div>
      </div>
    </div>
  );
}
