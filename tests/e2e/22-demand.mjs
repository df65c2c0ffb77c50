// SPDX-License-Identifier: Apache-2.0
// What rules name is counted exactly and sampled faster, from when they are loaded until they are not.

import { World, check, run, until } from "./world.mjs";
import { createServer } from "node:http";

const w = new World();
const classic = `groups:
  - name: demand
    rules:
      - {alert: Slow, expr: 'rate(tocsin_probe_latency_seconds_bucket{probe="web",le="0.05"}[5s]) / ignoring(le) rate(tocsin_probe_latency_seconds_count{probe="web"}[5s]) < 0.6', labels: {severity: page}}
      - {alert: Busy, expr: 'node_memory_MemFree_bytes < 0', labels: {severity: page}}
`;
const arrival = "overrides: [{rule: demand/Busy, set: {evaluate: arrival}}]\n";
const points = async (expr) => Number((await w.query(`count_over_time(${expr}[4s])`))[0]?.value[1] ?? 0);
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);

let slow = false;
let asked = 0;
const server = createServer((q, r) => setTimeout(() => r.end("ok"), slow && asked++ % 2 ? 100 : 0));
const port = await new Promise((ok) => server.listen(0, "127.0.0.1", () => ok(server.address().port)));

await run([
  [
    "a rule with classic buckets works on a histogram that has none",
    async () => {
      const rules = w.put("rules.yaml", classic);
      const over = w.put("over.yaml", arrival);
      w.process = await w.collector({ rules: [rules, over] });
      await w.agent({ config: `probes: [{name: web, http: "http://127.0.0.1:${port}/", every: 100ms}]\n` });
      const of = (le) => value(`tocsin_probe_latency_seconds_bucket{probe="web",le="${le}"}`);
      await until("the exact series", async () => (await of("+Inf")) > 20, 20000, 100);
      check((await of("0.05")) <= (await of("+Inf")), "a bound counts at most all");
      check((await value('tocsin_probe_latency_seconds_count{probe="web"}')) > 0, "_count is there");
      check(w.pages(0).length === 0, `no page while it is quick: ${w.pages(0)}`);
      slow = true; // every second answer takes 100 ms: half are within 50 ms
      check(await w.hook((h) => h.body.alerts?.some((a) => a.labels.alertname === "Slow"), 0, 20000), "Slow is told");
    },
  ],
  [
    "what an arrival rule reads is sampled four times a second and comes at once",
    async () => {
      await until("faster samples", async () => (await points("node_memory_MemFree_bytes")) >= 14, 20000, 200);
      check((await points("node_load1")) <= 5, "what nobody asked for stays at one a second");
    },
  ],
  [
    "a reload that names it no more ends both",
    async () => {
      w.put("rules.yaml", "groups: [{name: demand, rules: [{alert: Busy, expr: 'vector(0) > 1'}]}]\n");
      w.put("over.yaml", "overrides: []\n");
      w.process.kill("SIGHUP");
      await until("the end of the exact series", async () => (await w.query('tocsin_probe_latency_seconds_bucket{probe="web"}')).length === 0, 20000, 100);
      await until("one a second again", async () => (await points("node_memory_MemFree_bytes")) <= 5, 20000, 200);
    },
  ],
]);
server.close();
await w.close();
