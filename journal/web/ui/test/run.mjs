// Runs the tests of the pure modules: bundled for node, then `node --test`.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const names = readdirSync(here(".")).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: names.map((name) => here(name)),
  outdir: here("../build/test"),
  bundle: true,
  format: "esm",
  platform: "node",
  outExtension: { ".js": ".mjs" },
});
const files = names.map((name) => here(`../build/test/${name.replace(/\.ts$/, ".mjs")}`));
process.exit(spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1);
