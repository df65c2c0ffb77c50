// SPDX-License-Identifier: Apache-2.0
// The collector is killed with kill -9 while alerts are pending, firing, over or on their way: the
// receiver hears each state once, in order, and a `for` goes on counting.

import { createServer } from "node:net";
import { World, bin, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const w = new World();
let collector;
let server;
const port = await freePort();
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Now, expr: 'probe_success{probe="p"} == 0', labels: {severity: page}}
      - {alert: Held, expr: 'probe_success{probe="p"} == 0', for: 8s, labels: {severity: page}}
      - {alert: Many, expr: 'sum(probe_success{probe="p"}) < 1', labels: {severity: page}}
`,
);
const up = async () => (server = createServer((s) => s.destroy()).listen(port, "127.0.0.1"));
const down = () => new Promise((r) => server.close(r));
const crash = async () => {
  collector.kill("SIGKILL");
  await collector.gone;
};
const start = async () => {
  collector = await w.collector({ rules: [rules] });
};
const alerts = async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts;
const state = async (name) => (await alerts()).find((a) => a.labels.alertname === name)?.state ?? "inactive";
const heard = (name) => w.heard(name);
const messages = (name) => w.hooks.filter((h) => h.body.alerts.some((a) => a.labels.alertname === name)).length;

await run([
  [
    "a restart while alerts fire: they fire at once, and nobody hears of it",
    async () => {
      await up();
      await start();
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n` });
      await until("the probe", async () => (await w.query('probe_success{probe="p"} == 1')).length);
      await down();
      await until("all three", () => ["Now", "Held", "Many"].every((n) => heard(n) === "firing"), 20000);
      await sleep(500);
      const before = w.hooks.length;
      await crash();
      await sleep(1000);
      await start();
      for (const n of ["Now", "Held", "Many"]) check((await state(n)) === "firing", `${n} is ${await state(n)} after the start`);
      await sleep(6000);
      for (const n of ["Now", "Held", "Many"]) check((await state(n)) === "firing", `${n} is ${await state(n)} later`);
      check(w.hooks.length === before, `it was told again: ${JSON.stringify(w.hooks.slice(before).map((h) => h.body.alerts))}`);
    },
  ],
  [
    "a second collector with the same state directory is refused, and says why",
    async () => {
      const second = w.spawn("second", `${bin}/tocsin-collector`, ["--state-dir", `${w.dir}/collector`]);
      check((await second.gone).code === 1, "it started");
      check(/another tocsin-collector runs with this state directory/.test(w.log(second)), w.log(second));
    },
  ],
  [
    "over while we were dead: one resolved each",
    async () => {
      await crash();
      await up();
      await sleep(1500);
      const from = w.hooks.length;
      await start();
      await until("resolved", () => ["Now", "Held", "Many"].every((n) => heard(n) === "firing resolved"), 20000);
      await sleep(3000);
      for (const n of ["Now", "Held", "Many"]) check(heard(n) === "firing resolved", `${n}: ${heard(n)}`);
      check(w.hooks.length - from <= 3, `${w.hooks.length - from} messages`);
    },
  ],
  [
    "killed while pending: the time before counts",
    async () => {
      w.hooks.length = 0;
      await down();
      await until("pending", async () => (await state("Held")) === "pending", 5000);
      const active = Date.parse((await alerts()).find((a) => a.labels.alertname === "Held").activeAt);
      await sleep(2000);
      await crash();
      await sleep(1000);
      await start();
      check(["pending", "firing"].includes(await state("Held")), `Held is ${await state("Held")}`);
      await until("Held", () => heard("Held") === "firing", 20000);
      const held = w.hooks.flatMap((h) => h.body.alerts).find((a) => a.labels.alertname === "Held");
      const took = Date.parse(held.startsAt) - active;
      check(took >= 8000 && took <= 11000, `it fired ${took} ms after it became active`);
      check(heard("Now") === "firing", `Now: ${heard("Now")}`);
    },
  ],
  [
    "the receiver is down, the alert ends, the collector is killed: firing, then resolved, still arrive",
    async () => {
      await up();
      await until("all over", () => heard("Held") === "firing resolved" && heard("Now") === "firing resolved", 20000);
      await sleep(500);
      w.hooks.length = 0;
      w.receiverStatus = 0;
      await down();
      await until("Now fires", async () => (await state("Now")) === "firing", 5000);
      await up();
      await until("Now is over", async () => (await state("Now")) === "inactive", 10000);
      await crash();
      await sleep(500);
      await start();
      await sleep(1000);
      check(w.hooks.length === 0, "the receiver was not down");
      w.receiverStatus = 200;
      await until("both", () => heard("Now") === "firing resolved", 20000);
      check(messages("Now") >= 2, "in one message");
    },
  ],
  [
    "a rule that is gone at the next start ends its alerts",
    async () => {
      await down();
      await until("firing again", () => heard("Now") === "firing resolved firing", 10000);
      await sleep(500);
      await crash();
      w.put("rules.yaml", "groups:\n  - name: drill\n    interval: 1s\n    rules:\n      - {alert: Other, expr: 'vector(0) > 1'}\n");
      await start();
      await until("it is over", () => heard("Now") === "firing resolved firing resolved", 10000);
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(collector));
await w.close();
