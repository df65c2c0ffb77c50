// SPDX-License-Identifier: Apache-2.0
// How long the collector takes after kill -9 with many alerts in alerts.db: from exec until it is ready,
// and until its rules are evaluated for the first time, with agents that come back and without.
//
//     sh tests/bench/start.sh [alerts, 100000] [starts each way, 5]

import { statSync } from "node:fs";
import { join } from "node:path";
import { rssKiB } from "../e2e/world.mjs";
import { Ours, quantile, sleep, until } from "../drills/rig.mjs";

const count = Number(process.argv[2] ?? 100000);
const starts = Number(process.argv[3] ?? 5);
const each = 10000; // series of an agent
const w = new Ours();

/** When the recording rule `beat` was evaluated last, in milliseconds. */
const beat = async () => Number((await w.query("beat"))[0].value[1]) * 1000;
const alertsIn = async (state) => Number((await w.query(`sum(ALERTS{alertname="Burst",alertstate="${state}"})`))[0]?.value[1] ?? 0);

try {
  await w.start({
    rules: { Burst: { expr: "burst > 0", labels: { severity: "page" } } },
    arrival: false,
    route: "route: {receiver: none}\nreceivers: [{name: none}]\n",
  });
  w.put("rules.yaml", `${"groups:\n  - name: drill\n    interval: 1s\n    rules:\n      - {alert: Burst, expr: 'burst > 0', labels: {severity: page}, annotations: {summary: 'check {{ $labels.n }} of {{ $labels.instance }} fails'}}\n"}  - name: beat\n    interval: 1s\n    rules:\n      - {record: beat, expr: 'time()'}\n`);
  w.process.kill("SIGHUP");
  await until("the rules", beat, 20000);
  for (let i = 0; i * each < count; i++) {
    const f = w.feed(`host${i}`);
    f.fill("burst", "n", 0, Math.min(each, count - i * each), 1);
    await f.send();
  }
  await until("all to fire", async () => (await alertsIn("firing")) === count, 120000, 500).catch(async (e) => console.log(`${e.message}: ${await alertsIn("firing")} fire`));
  const size = () => ["alerts.db", "alerts.db-wal"].reduce((n, f) => n + (statSync(join(w.dir, "collector", f), { throwIfNoEntry: false })?.size ?? 0), 0);
  for (let before = -1; before !== size() || before < count * 100; ) {
    before = size();
    await sleep(3000); // until it is all written
  }
  const took = { ready: [], "evaluated, agents come back": [], "evaluated, agents stay away": [] };
  for (let i = 0; i < 2 * starts; i++) {
    if (i === starts) for (const f of w.feeds.splice(0)) f.end();
    await w.crash();
    const at = Date.now();
    await w.again();
    took.ready.push(Date.now() - at);
    took[`evaluated, agents ${i < starts ? "come back" : "stay away"}`].push((await until("the first evaluation", async () => (await beat()) > at && beat(), 60000, 5)) - at);
    const known = Number(w.log(w.process).match(/event=started.* alerts=(\d+)/g).at(-1).match(/\d+$/)[0]);
    if (known < count) throw new Error(`${known} of ${count} alerts were in alerts.db`);
  }
  for (const [name, v] of Object.entries(took)) console.log(`${name.padEnd(28)} median ${quantile(v, 0.5).toFixed(0)} ms, worst ${Math.max(...v).toFixed(0)} ms after exec`);
  console.log(`${count} alerts, alerts.db and its log ${(size() / 1e6).toFixed(0)} MB, ${(rssKiB(w.process.pid) / 1024).toFixed(0)} MiB resident`);
} catch (e) {
  console.log(e.stack, w.log(w.process).split("\n").slice(-5).join("\n"));
  process.exitCode = 1;
}
await w.close();
