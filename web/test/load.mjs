// SPDX-License-Identifier: Apache-2.0
// Node 18 does not read TypeScript: a module under test is bundled first.
import { build } from "esbuild";

export async function load(path) {
  const r = await build({
    entryPoints: [new URL(path, import.meta.url).pathname],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "error",
  });
  return import("data:text/javascript;base64," + Buffer.from(r.outputFiles[0].contents).toString("base64"));
}
