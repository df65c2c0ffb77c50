// SPDX-License-Identifier: Apache-2.0
// Prometheus on the rule file and the 10,000 series of `rules mixed`: it scrapes five minutes of
// history at ten times the pace, then at 1 s; CPU without rules, then with each number of them.
//
//     node tests/bench/rules.mjs SECONDS RULES...

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { World, bin, cpuSeconds, fetchText, freePort, now, sleep, until } from "../e2e/world.mjs";

const seconds = Number(process.argv[2] ?? 20);
const numbers = process.argv.slice(3).map(Number);
const SERVICES = 333;
const HISTORY_MS = 320000;
const LE = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];

if (!existsSync("/usr/bin/prometheus")) {
  console.log("prometheus is not installed");
  process.exit(0);
}

const series = [];
for (let s = 0; s < SERVICES; s++) {
  const service = `s${String(s).padStart(5, "0")}`;
  for (let i = 0; i < 10; i++) {
    const inst = `i${String(i).padStart(2, "0")}`;
    series.push({ name: `lat_bucket{service="${service}",le="${LE[i]}"}`, v: 0, pace: 20 * (i + 1) });
    series.push({ name: `req_total{service="${service}",inst="${inst}"}`, v: 0, pace: 50 });
    series.push({ name: `conn{service="${service}",inst="${inst}"}`, v: 0, pace: 0 });
  }
}

let at = Date.now() - HISTORY_MS; // time of the next page of history; 0 = it has caught up
function page() {
  const stamp = at ? ` ${at}` : "";
  if (at) at = at + 1000 > Date.now() - 1000 ? 0 : at + 1000;
  const lines = [];
  for (const x of series) {
    x.v = x.pace ? x.v + x.pace + Math.random() : Math.random() * 100;
    lines.push(`${x.name} ${x.v}${stamp}`);
  }
  return lines.join("\n") + "\n";
}

const w = new World();
const server = createServer((_, answer) => answer.end(page()));
await new Promise((r) => server.listen(0, "127.0.0.1", r));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;

function config(interval, rules) {
  return w.put(
    "prometheus.yml",
    `global: {scrape_interval: ${interval}, scrape_timeout: ${interval}, evaluation_interval: 1s}
rule_files: [${rules ? JSON.stringify(rules) : ""}]
scrape_configs:
- job_name: bench
  static_configs: [{targets: ["127.0.0.1:${server.address().port}"]}]
`,
  );
}

async function metric(text, name) {
  let sum = 0;
  for (const line of text.split("\n")) if (line.startsWith(name + "{") || line.startsWith(name + " ")) sum += Number(line.slice(line.lastIndexOf(" ")));
  return sum;
}

async function measured(p) {
  const before = (await fetchText(`${url}/metrics`)).text;
  const cpu = cpuSeconds(p.pid);
  const begun = now();
  await sleep(seconds * 1000);
  const took = (now() - begun) / 1000;
  const percent = ((cpuSeconds(p.pid) - cpu) / took) * 100;
  const after = (await fetchText(`${url}/metrics`)).text;
  const d = async (name) => (await metric(after, name)) - (await metric(before, name));
  return {
    percent,
    missed: await d("prometheus_rule_group_iterations_missed_total"),
    iterations: await d("prometheus_rule_group_iterations_total"),
    failed: await d("prometheus_rule_evaluation_failures_total"),
  };
}

try {
  const cfg = config("100ms");
  const p = w.spawn("prometheus", "prometheus", [`--config.file=${cfg}`, `--storage.tsdb.path=${w.dir}/prom`, `--web.listen-address=127.0.0.1:${port}`]);
  await until("prometheus", async () => (await fetchText(`${url}/-/ready`)).status === 200, 30000);
  await until("five minutes of history", async () => at === 0, 120000);
  config("1s");
  p.kill("SIGHUP");
  await sleep(5000);
  const bare = await measured(p);
  console.log(`prometheus, ${series.length} series at 1 s, no rules: ${bare.percent.toFixed(1)} % of a core`);
  for (const n of numbers) {
    const rules = w.put(`rules-${n}.yml`, execFileSync(join(bin, "bench/rules"), ["print", String(n)], { maxBuffer: 1 << 25 }));
    config("1s", rules);
    p.kill("SIGHUP");
    await sleep(10000);
    const m = await measured(p);
    console.log(
      `prometheus, ${n} mixed rules: ${(m.percent - bare.percent).toFixed(1)} % of a core for the rules, ${m.missed} of ${m.iterations + m.missed} group evaluations missed, ${m.failed} failed`,
    );
  }
} finally {
  server.close();
  await w.close();
}
process.exit(0);
