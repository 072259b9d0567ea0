// Attachments: images as images, anything else as a file to save.

import { source } from "../context.ts";
import { size } from "../format.ts";
import type { Attachment } from "../source.ts";
import { revealed } from "../text/hidden.ts";

const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

export function Attachments({ items }: { items: Attachment[] }) {
  if (!items.length) return null;
  return <div class="attachments">{items.map((item) => <One key={item.digest} item={item} />)}</div>;
}

function One({ item }: { item: Attachment }) {
  const address = source().attachmentAddress(item.digest);
  const what = `${revealed(item.media_type ?? "attachment")}, ${size(item.size_bytes)}`;
  if (!address) return <p class="attachment muted">Attachment ({what}): not part of this file</p>;
  if (IMAGES.has(item.media_type ?? "")) {
    const picture = <img src={address} alt={`Attachment, ${what}`} loading="lazy" />;
    return (
      <figure class="attachment">
        {/* Browsers open no data: address in a window of its own. */}
        {address.startsWith("data:") ? picture : <a href={address} target="_blank" rel="noreferrer noopener">{picture}</a>}
        <figcaption class="muted">{what}</figcaption>
      </figure>
    );
  }
  return (
    <p class="attachment">
      <a href={address} download={item.digest}>Save the attachment</a> <span class="muted">({what})</span>
    </p>
  );
}
