// Bundles the page into page/app.js and page/app.css; the same sources give the same bytes.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const page = here("../page/");

await build({
  entryPoints: { app: here("src/main.tsx") },
  outdir: page,
  absWorkingDir: here("."),
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  charset: "utf8",
  legalComments: "none",
  banner: { js: "/*! Built by journal/web/ui/build.mjs. Preact (MIT), uPlot (MIT): see LICENSES.txt. */" },
});

// The exported file carries both texts inline: nothing in them may end their element, or begin a comment.
for (const [file, ends] of [
  ["app.js", /<\/script|<!--/i],
  ["app.css", /<\/style|@import|url\(/i],
]) {
  const found = ends.exec(await readFile(page + file, "utf8"));
  if (found) throw new Error(`page/${file} holds ${JSON.stringify(found[0])}: it could not stand in an exported file`);
}

// What their licences ask of whoever passes them on.
const texts = ["The page holds these packages, in whole or in part.\n"];
for (const name of ["preact", "@preact/signals", "@preact/signals-core", "uplot"]) {
  const read = (file) => readFile(here(`node_modules/${name}/${file}`), "utf8");
  texts.push(`${name} ${JSON.parse(await read("package.json")).version}\n\n${(await read("LICENSE")).trim()}\n`);
}
await writeFile(`${page}LICENSES.txt`, texts.join(`\n${"-".repeat(80)}\n\n`));
