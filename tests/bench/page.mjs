// SPDX-License-Identifier: Apache-2.0
// From a sample that crosses a threshold to the webhook received, on defaults, while simulated agents
// send 50,000 samples a second beside it. Three times for each sample: a rule with `evaluate: arrival`,
// as the starter rules for crashes and saturation have it; one that reads series of all those agents
// too, so that it is never at rest; and one on the grid of a second.
//
//     sh tests/bench/page.sh [transitions, 1000] [samples a second, 50000]

import { join } from "node:path";
import { bin, cpuSeconds } from "../e2e/world.mjs";
import { Ours, now, quantile, sleep } from "../drills/rig.mjs";

const count = Number(process.argv[2] ?? 1000);
const load = Number(process.argv[3] ?? 50000);
const series = 300; // of an agent, each sampled once a second
const w = new Ours();
const line = (v) => `p50 ${quantile(v, 0.5).toFixed(1)} ms, p99 ${quantile(v, 0.99).toFixed(1)} ms, max ${Math.max(...v).toFixed(1)} ms`;
try {
  const page = { expr: "page > 0", labels: { severity: "page" } };
  await w.start({ rules: { Arrival: page, Fleet: { ...page, expr: "page > 0 or load_metric_9 > 1e9" } }, route: `route: {receiver: r, group_by: ['...']}\nreceivers: [{name: r, webhook_configs: [{url: "http://127.0.0.1:{port}/"}]}]\n` });
  w.put("grid.yaml", "groups:\n  - name: grid\n    rules:\n      - {alert: Grid, expr: 'page > 0', labels: {severity: page}}\n");
  await w.crash();
  w.options.rules.push(join(w.dir, "grid.yaml"));
  await w.again();
  const f = w.feed();
  f.fill("page", "n", 0, count, 0);
  await f.send();
  const agents = Math.ceil(load / series);
  const noise = agents ? w.spawn("load", join(bin, "bench/load"), [String(w.ingestPort), String(agents), String(series), String(Math.ceil(count * 0.22) + 10)]) : null;
  await sleep(5000);
  const cpu = cpuSeconds(w.process.pid);
  const begun = now();
  const told = { Arrival: [], Fleet: [], Grid: [] };
  const decided = []; // whole milliseconds
  const waiting = [];
  for (let n = 0; n < count; n++) {
    const at = now();
    const wall = performance.timeOrigin + at;
    for (const name of Object.keys(told))
      waiting.push(
        w.hook((h) => h.body.alerts.some((a) => a.labels.n === String(n) && a.labels.alertname === name), at, 10000).then((h) => {
          told[name].push(h ? h.at - at : Infinity);
          if (name === "Arrival" && h) decided.push(Math.max(0, Number(h.headers["tocsin-decided-ms"]) - wall));
        }),
      );
    f.send({ [`page{n="${n}"}`]: 1 });
    await sleep(110 + Math.random() * 80);
  }
  await Promise.all(waiting);
  const seconds = (now() - begun) / 1000;
  console.log(`${count} transitions in ${seconds.toFixed(0)} s beside ${agents * series} samples a second; collector ${(((cpuSeconds(w.process.pid) - cpu) / seconds) * 100).toFixed(1)} % of a core`);
  console.log(`  evaluate: arrival     ${line(told.Arrival)}`);
  console.log(`    of that until decided  ${line(decided)}`);
  console.log(`  the same, all agents  ${line(told.Fleet)}`);
  console.log(`  evaluate: interval    ${line(told.Grid)}   (1 s grid)`);
  noise?.kill("SIGTERM");
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await w.close();
}
process.exit();
