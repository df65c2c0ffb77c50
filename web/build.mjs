// SPDX-License-Identifier: Apache-2.0
// One bundle, no framework of its own: esbuild does TypeScript, JSX and CSS. The first load has a
// budget of 80 KB gzip and the build fails above it.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";

const out = new URL("../build/web/", import.meta.url).pathname;
const budget = 80 * 1024;
mkdirSync(out, { recursive: true });

const result = await build({
  absWorkingDir: new URL(".", import.meta.url).pathname,
  entryPoints: { app: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2021",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
});
if (result.errors.length) process.exit(1);

const hash = (name) => createHash("sha256").update(readFileSync(out + name)).digest("hex").slice(0, 12);
const html = readFileSync(new URL("index.html", import.meta.url), "utf8")
  .replace("app.css", `app.css?v=${hash("app.css")}`)
  .replace("app.js", `app.js?v=${hash("app.js")}`);
writeFileSync(out + "index.html", html);

let total = 0;
for (const name of ["index.html", "app.js", "app.css"]) {
  const packed = gzipSync(readFileSync(out + name), { level: 9 });
  writeFileSync(out + name + ".gz", packed);
  total += packed.length;
}
if (total > budget) {
  console.error(`web: first load is ${total} bytes gzip, over the budget of ${budget}`);
  process.exit(1);
}
