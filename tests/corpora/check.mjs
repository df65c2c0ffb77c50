// SPDX-License-Identifier: Apache-2.0
// Public rules through our check and through promtool 2.42: what one accepts the other must accept,
// but for the reasons of the table below (tests/corpora/README.md says more).
//
//     CORPORA=FOLDER [B=build/none] [PROMTOOL=promtool] [LIST=1] node tests/corpora/check.mjs
//
// FOLDER holds clones or copies of anything: rule files, charts, dashboards, jsonnet, promqltest
// scripts. Every file with `groups:` is checked as it is; every expression found in any file is
// checked alone. LIST=1 prints what differs for a reason too.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expressionsOf } from "./extract.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const tocsin = join(root, process.env.B ?? "build/none", "tocsin");
const promtool = process.env.PROMTOOL ?? "promtool";
const folder = process.env.CORPORA;
const PER_FILE = 200; // a report shows at most 256 mistakes of a file

function run(program, args) {
  const r = spawnSync(program, args, { encoding: "utf8", maxBuffer: 1 << 30 });
  if (r.error) throw r.error;
  return { status: r.status, text: r.stdout + r.stderr, stdout: r.stdout };
}

// --- why they may differ ------------------------------------------------------------------------
// Texts in quotes away, so that a reason is looked for in the expression alone.
const bare = (e) => e.replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`/g, '""').replace(/#[^\n]*/g, "");
const WE_REJECT = [
  ["T302, T303: experimental in Prometheus, or not here yet", (x) => /^T30[23]$/.test(x.code)],
  ["holt_winters has another name since 3.0", (x) => /holt_winters/.test(x.message)],
  ["classes of Unicode in patterns (\\pL) are not here yet", (x) => /\(\\p\)/.test(x.message)],
  ["T111: a text or a range, which promtool lets pass though it fails each time", (x) => x.code === "T111"],
  ["T304: parts of templates that are not here yet", (x) => x.code === "T304"],
];
const NEWER = /\b(histogram_avg|histogram_stddev|histogram_stdvar|first_over_time|double_exponential_smoothing|sort_by_label|sort_by_label_desc|mad_over_time|limitk|limit_ratio|info|ts_of_\w+|step|range)\s*\(/;
const THEY_REJECT = [
  ["3.x: durations are numbers", (e) => /(^|[^\w.:[])(\d+(ms|[smhdwy]))+\b/.test(bare(e).replace(/\[[^\]]*\]|offset\s*-?\s*\w+/gi, ""))],
  ["3.x: numbers are durations", (e) => /\[\s*[\d.]+(e\d+)?\s*(:\s*[\d.]*\w*)?\]|\[\w*:\s*[\d.]+\]|offset\s*-?\s*[\d.]+(?![\w.])/i.test(bare(e))],
  ["3.x: names in quotes", (e) => /[{(,]\s*""\s*[=!,})]/.test(bare(e))],
  ["3.x: newer functions", (e) => NEWER.test(bare(e))],
  ["3.x: an offset of 0", (e) => /offset\s*-?\s*0+(ms|[smhdwy])?\b/i.test(bare(e))],
  ["3.x: a plus in front of an offset", (e) => /offset\s*\+/i.test(bare(e))],
  ["3.x: histograms can be cut (</ and >/)", (e) => /[<>]\//.test(bare(e))],
  ["3.x: underscores in numbers", (e) => /\d_\d/.test(bare(e))],
];
const FILES_WE_ACCEPT = [
  ["3.x: query_offset and labels of a group", /field (query_offset|labels) not found in type rulefmt\.RuleGroup/],
  ["3.x: names of labels and annotations outside [a-zA-Z0-9_]", /invalid (label|annotation) name/],
  ["keep_firing_for came after 2.42's file format", /field keep_firing_for not found/],
];

// --- expressions --------------------------------------------------------------------------------
function check(expressions, dir) {
  const files = [];
  for (let i = 0; i < expressions.length; i += PER_FILE) {
    const rules = expressions.slice(i, i + PER_FILE).map((e, k) => `  - {"record": "r${i + k}", "expr": ${JSON.stringify(e)}}\n`);
    const path = join(dir, `f${i / PER_FILE}.yaml`);
    writeFileSync(path, `groups:\n- name: g${i / PER_FILE}\n  rules:\n${rules.join("")}`);
    files.push(path);
  }
  const ours = new Map();
  for (let i = 0; i < files.length; i += 500) {
    const r = run(tocsin, ["rules", "check", "--format", "json", ...files.slice(i, i + 500)]);
    for (const p of JSON.parse(r.stdout).problems) {
      if (p.severity !== "error") continue;
      const at = Number(/f(\d+)\.yaml$/.exec(p.file)[1]) * PER_FILE + p.line - 4;
      if (!ours.has(at)) ours.set(at, p);
    }
  }
  const theirs = new Map();
  for (let i = 0; i < files.length; i += 100) {
    const r = run(promtool, ["check", "rules", ...files.slice(i, i + 100)]);
    for (const m of r.text.matchAll(/group "g(\d+)", rule (\d+), ([^\n]*)/g)) theirs.set(Number(m[1]) * PER_FILE + Number(m[2]) - 1, m[3]);
  }
  return { ours, theirs };
}

const counts = new Map();
let unexplained = 0;
function differ(reason, text) {
  if (reason) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  else unexplained++;
  if (!reason || process.env.LIST) console.log(`${reason ?? "DIFFERS"}: ${text}`);
}

function compareExpressions(expressions, dir) {
  const { ours, theirs } = check(expressions, dir);
  let accepted = 0, rejected = 0;
  expressions.forEach((e, i) => {
    const o = ours.get(i), t = theirs.get(i);
    if (!o && !t) accepted++;
    else if (o && t) rejected++;
    else if (o) differ(WE_REJECT.find(([, is]) => is(o))?.[0], `we reject ${e}\n    ${o.code} ${o.message}`);
    else differ(THEY_REJECT.find(([, is]) => is(e))?.[0], `promtool rejects ${e}\n    ${t}`);
  });
  return `${expressions.length} expressions: ${accepted} accepted by both, ${rejected} rejected by both`;
}

// --- files --------------------------------------------------------------------------------------
function compareFiles(paths) {
  let accepted = 0, rejected = 0;
  for (const path of paths) {
    const r = run(tocsin, ["rules", "check", "--format", "json", path]);
    if (r.status !== 0 && r.status !== 1) throw new Error(`${path}: exit ${r.status} ${r.text}`);
    const errors = JSON.parse(r.stdout).problems.filter((p) => p.severity === "error");
    const t = run(promtool, ["check", "rules", path]);
    if (errors.length === 0 && t.status === 0) accepted++;
    else if (errors.length && t.status !== 0) rejected++;
    else if (errors.length) {
      const without = errors.find((x) => !WE_REJECT.some(([, is]) => is(x)));
      const x = without ?? errors[0];
      differ(without ? undefined : WE_REJECT.find(([, is]) => is(x))[0], `we reject ${relative(folder, path)}\n    ${x.line}:${x.col} ${x.code} ${x.message}`);
    } else {
      const lines = t.text.split("\n").filter((l) => /:\d+:|line \d+|group "/.test(l));
      const reason = FILES_WE_ACCEPT.find(([, re]) => lines.length && lines.every((l) => re.test(l)))?.[0];
      differ(reason, `promtool rejects ${relative(folder, path)}\n    ${t.text.trim().split("\n").slice(0, 6).join("\n    ")}`);
    }
  }
  return `${paths.length} rule files: ${accepted} accepted by both, ${rejected} rejected by both`;
}

function walk(dir, visit) {
  for (const e of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, e.name);
    if (e.isDirectory() && e.name !== ".git" && e.name !== "node_modules") walk(path, visit);
    else if (e.isFile() && statSync(path).size < 8 << 20) visit(path);
  }
}

if (!folder) {
  console.log("CORPORA names no folder of public rules: nothing to check");
  process.exit(2);
}
if (!/version 2\.42/.test(run(promtool, ["--version"]).text)) {
  console.log("needs promtool 2.42 (Debian 12's prometheus package): the table of differences is about that one");
  process.exit(2);
}
const found = new Set(), ruleFiles = [];
walk(folder, (path) => {
  if (!/\.(ya?ml|json|libsonnet|jsonnet|test|txt|rules)$/.test(path)) return;
  const text = readFileSync(path, "utf8");
  for (const e of expressionsOf(path, text)) if (e.trim()) found.add(e);
  // A chart's templates are YAML only once they are rendered.
  if (/\.(ya?ml|rules)$/.test(path) && /^groups:/m.test(text) && !/^\s*\{\{-? (if|range|include|end)/m.test(text)) ruleFiles.push(path);
});
const dir = mkdtempSync(join(tmpdir(), "corpora-"));
try {
  console.log(compareExpressions([...found], dir));
  console.log(compareFiles(ruleFiles));
} finally {
  rmSync(dir, { recursive: true });
}
for (const [reason, n] of [...counts].sort((a, b) => b[1] - a[1])) console.log(`${String(n).padStart(6)}  ${reason}`);
console.log(`${unexplained} differ for no reason of the table`);
process.exit(unexplained ? 1 : 0);
