// SPDX-License-Identifier: Apache-2.0
// Acknowledgements as people use them: who has taken an alert on is shown, nobody is reminded meanwhile, the
// end is told, and what is let go of is told again, also through kill -9.

import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { World, bin, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const w = new World();
const port = await freePort();
const other = await freePort();
let server;
const up = () => (server = createServer((s) => s.destroy()).listen(port, "127.0.0.1"));
const down = () => new Promise((r) => server.close(r));
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Slow, expr: 'probe_success{probe="p"} == 0', labels: {severity: page}}
      - {alert: Also, expr: 'probe_success{probe="q"} == 0', labels: {severity: page}}
`,
);
const hook = await w.receiver();
const route = `route:
  receiver: default
  group_by: [alertname]
  repeat_interval: 1s
  routes: [{receiver: rarely, matchers: [alertname=Slow], repeat_interval: 4h, continue: true}, {receiver: default}]
receivers:
  - name: rarely
    webhook_configs: [{url: "http://127.0.0.1:${hook}/rarely"}]
  - name: default
    webhook_configs: [{url: "http://127.0.0.1:${hook}/tocsin"}]
`;
let collector = await w.collector({ rules: [rules], route });
const cli = (...args) => execFileSync(join(bin, "tocsin"), ["--url", w.url, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
const refused = (...args) => {
  try {
    cli(...args);
  } catch (e) {
    return `${e.status} ${e.stderr}`;
  }
  return "0";
};
/** Messages about it, as "firing" or "resolved". */
const told = (name) => w.hooks.filter((h) => h.path === "/tocsin").flatMap((h) => h.body.alerts).filter((a) => a.labels.alertname === name).map((a) => a.status);
/** The same of a receiver that is reminded each four hours. */
const rarely = () => w.hooks.filter((h) => h.path === "/rarely").map((h) => h.body.alerts[0].status).join(" ");
const firing = async (name) => JSON.parse((await fetchText(`${w.url}/api/v2/alerts`)).text).find((a) => a.labels.alertname === name);
const acks = async () => JSON.parse((await fetchText(`${w.url}/api/v2/tocsin/acks`)).text);
const crash = async () => {
  collector.kill("SIGKILL");
  await collector.gone;
  collector = await w.collector({ rules: [rules], route });
};
/** No reminder for as long as three would have come; what was on its way may still arrive before. */
const quiet = async (name) => {
  await sleep(300);
  const before = told(name).length;
  await sleep(3000);
  check(told(name).length === before, `reminded of ${name} ${told(name).length - before} times`);
};

await run([
  [
    "while an alert is acknowledged nobody is reminded, and others are",
    async () => {
      up();
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n  - {name: q, tcp: "127.0.0.1:${other}"}\n` });
      await down();
      await until("Slow", () => told("Slow").length >= 2);
      const out = cli("alerts", "ack", "alertname=Slow", "--for", "1h", "--note", "disk ordered", "--by", "ann");
      check(/^[0-9a-f]{16} Slow \{/.test(out), out);
      const list = cli("alerts");
      check(/ann, for (60|59) min: disk ordered/.test(list) || /ann, for 1 h: disk ordered/.test(list), list);
      check(JSON.parse(cli("alerts", "--json")).find((a) => a.labels.alertname === "Slow").ack.owner === "ann", "--json");
      const also = told("Also").length;
      await quiet("Slow");
      check(told("Also").length > also, "Also was not repeated");
      const a = await firing("Slow");
      check(a.status.state === "active" && !("ack" in a), JSON.stringify(a));
    },
  ],
  [
    "it is taken over by another, and given back: then it is told again",
    async () => {
      const { fingerprint } = await firing("Slow");
      cli("alerts", "ack", fingerprint, "--for", "1h", "--by", "bob");
      const [a] = await acks();
      check(a.owner === "bob" && a.fingerprint === fingerprint && a.note === "", JSON.stringify(a));
      const before = told("Slow").length;
      cli("alerts", "unack", fingerprint);
      await until("Slow again", () => told("Slow").length > before, 3000);
      await until("who is rarely reminded to be told too", () => rarely() === "firing firing", 3000);
      check((await acks()).length === 0, "it is still there");
      const log = cli("alerts", "log", "alertname=Slow");
      check(/bob/.test(log) && /ann/.test(log) && /disk ordered/.test(log), log);
    },
  ],
  [
    "it outlives kill -9 and a reload, and when its time is up the alert is told again",
    async () => {
      const begun = Date.now();
      cli("alerts", "ack", "alertname=Slow", "--for", "12s", "--by", "ann");
      await sleep(200);
      await crash();
      await until("the acknowledgement", async () => (await acks()).length === 1, 3000);
      collector.kill("SIGHUP");
      await quiet("Slow");
      check((await acks())[0]?.owner === "ann", "it is gone");
      const before = told("Slow").length;
      await until("Slow again", () => told("Slow").length > before, 20000);
      await until("who is rarely reminded to be told too", () => rarely() === "firing firing firing", 3000);
      check(Date.now() - begun >= 11900, `told again after ${Date.now() - begun} ms`);
    },
  ],
  [
    "one that ran out while the collector was dead is told again",
    async () => {
      cli("alerts", "ack", "alertname=Slow", "--for", "2s", "--by", "ann");
      await sleep(200);
      collector.kill("SIGKILL");
      await collector.gone;
      const before = told("Slow").length;
      await sleep(2500);
      collector = await w.collector({ rules: [rules], route });
      await until("Slow again", () => told("Slow").length > before, 10000);
      await until("who is rarely reminded to be told too", () => rarely() === "firing firing firing firing", 3000);
      check((await acks()).length === 0, "it is there again");
    },
  ],
  [
    "the end is told, and what fires anew is not acknowledged",
    async () => {
      cli("alerts", "ack", "alertname=Slow", "--for", "1h", "--by", "ann");
      up();
      await until("the end", () => told("Slow").at(-1) === "resolved", 8000);
      const before = told("Slow").length;
      await down();
      await until("Slow anew", () => told("Slow").length >= before + 3, 10000);
      check(told("Slow").slice(before).every((s) => s === "firing"), told("Slow").join(" "));
      check((await acks()).length === 0, "the new one is acknowledged");
    },
  ],
  [
    "what cannot be is refused with a reason",
    async () => {
      check(/^2 .*--for/.test(refused("alerts", "ack", "alertname=Slow")), refused("alerts", "ack", "alertname=Slow"));
      check(/^1 .*no alert that fires/.test(refused("alerts", "ack", "alertname=None", "--for", "1h")), "none");
      check(/^1 .*30d/.test(refused("alerts", "ack", "alertname=Slow", "--for", "31d")), "31d");
      check(/^2 .*not both/.test(refused("alerts", "ack", "alertname=Slow", "0123456789abcdef", "--for", "1h")), "both");
      check(/^1 .*no alert that is meant/.test(refused("alerts", "unack", "alertname=Slow")), "unack");
      const post = (body, headers = {}) => fetchText(`${w.url}/api/v2/tocsin/acks`, { method: "POST", body: JSON.stringify(body), headers });
      const good = { filter: ["alertname=Slow"], owner: "x", for: "1m" };
      for (const [bad, why] of [
        [7, /object/],
        [{ ...good, filter: [] }, /at least one/],
        [{ ...good, filter: "alertname=Slow" }, /at least one/],
        [{ ...good, filter: [3] }, /list of matchers/],
        [{ ...good, filter: ['a=~"("'] }, /missing/],
        [{ ...good, owner: "" }, /owner/],
        [{ ...good, owner: "x".repeat(300) }, /longer/],
        [{ ...good, for: "soon" }, /how long/],
        [{ ...good, endsAt: new Date().toISOString() }, /how long/],
        [{ ...good, for: undefined, endsAt: new Date(0).toISOString() }, /past/],
      ]) {
        const r = await post(bad);
        check(r.status === 400 && why.test(r.text), `${JSON.stringify(bad)}: ${r.status} ${r.text}`);
      }
      check((await post(good, { Origin: "http://evil.example" })).status === 403, "a foreign origin");
      check((await fetchText(`${w.url}/api/v2/tocsin/acks`, { method: "DELETE" })).status === 400, "DELETE of all");
      check((await acks()).length === 0, "something was set");
    },
  ],
]);
if (process.env.SHOW_LOG) console.log(w.log(collector));
await w.close();
