// SPDX-License-Identifier: Apache-2.0
// The collector is stopped for a while and killed with kill -9 at random points of a storm (KILLS, 12):
// 200 rules over 20 probes that fail and recover, and a receiver that is quick, slow, refuses or is
// away. Afterwards every alert's last state is delivered, firing before resolved, nothing that was
// not, no AgentDown for our own standstill, and the same content never under a second key. Once with a message for each alert, once in groups.
//
//     KILLS=500 node tests/e2e/36-storm.mjs

import { createServer as httpServer } from "node:http";
import { createServer } from "node:net";
import { World, check, fetchText, freePort, run, sleep, until } from "./world.mjs";

const kills = Number(process.env.KILLS ?? 12);
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
let state = seed;
const random = (n) => {
  state = (state * 1103515245 + 12345) % 2147483648;
  return Math.floor((state / 2147483648) * n);
};

class Receiver {
  constructor() {
    this.mode = "quick";
    this.got = []; // what was acknowledged, and what a dead collector may not know was
    this.server = httpServer((q, r) => {
      const chunks = [];
      q.on("data", (d) => chunks.push(d));
      q.on("end", async () => {
        const mode = this.mode;
        if (mode === "away") return q.socket.destroy();
        if (mode === "refuses") return r.writeHead(503).end();
        // In the order of arrival: a dead collector's message may wait here beside those of the next one.
        this.got.push({ key: q.headers["idempotency-key"], body: JSON.parse(Buffer.concat(chunks)) });
        if (mode === "slow") await sleep(150 + random(300));
        r.writeHead(200).end();
      });
    });
  }
  async listen() {
    await new Promise((r) => this.server.listen(0, "127.0.0.1", r));
    return this.server.address().port;
  }
}

async function storm(grouped) {
  const w = new World();
  const receiver = new Receiver();
  const port = await receiver.listen();
  const probes = [];
  for (let i = 0; i < 20; i++) probes.push({ port: await freePort(), name: `p${i}`, server: null, downs: [] });
  const up = async (p) => {
    if (p.server) return;
    p.server = createServer((s) => s.destroy());
    await new Promise((r) => p.server.listen(p.port, "127.0.0.1", r));
    p.downs.at(-1)[1] = Date.now();
  };
  const down = async (p) => {
    if (!p.server) return;
    await new Promise((r) => p.server.close(r));
    p.server = null;
    p.downs.push([Date.now(), Infinity]);
  };
  for (const p of probes) {
    p.downs.push([Date.now(), Infinity]);
    await up(p);
  }
  const rules = w.put(
    "rules.yaml",
    `groups:\n${probes
      .map(
        (p, i) =>
          `  - name: g${i}\n    interval: 1s\n    rules:\n${Array.from(
            { length: 10 },
            (_, k) => `      - {alert: "A${i}x${k}", expr: 'probe_success{probe="${p.name}"} == 0', labels: {severity: page, g: "${i % 4}"}}\n`,
          ).join("")}`,
      )
      .join("")}`,
  );
  const config = `route: {receiver: storm, group_by: [${grouped ? "g" : "'...'"}]}
receivers: [{name: storm, webhook_configs: [{url: "http://127.0.0.1:${port}/"}]}]
`;
  const start = () => w.collector({ rules: [rules], route: config });
  let collector = await start();
  await w.agent({ config: `probes:\n${probes.map((p) => `  - {name: ${p.name}, tcp: "127.0.0.1:${p.port}"}`).join("\n")}\n` });
  await until("the probes", async () => (await w.query("probe_success == 1")).length === 20);

  let storming = true;
  const weather = (async () => {
    while (storming) {
      const p = probes[random(probes.length)];
      await (p.server ? down(p) : up(p));
      if (random(6) === 0) receiver.mode = ["quick", "quick", "slow", "refuses", "away"][random(5)];
      await sleep(random(200));
    }
  })();
  let stopped = 0; // ms, the longest
  for (let i = 0; i < kills; i++) {
    await sleep(100 + random(random(4) ? 1500 : 6000));
    if (random(3) === 0) {
      const ms = 200 + random(4000);
      collector.kill("SIGSTOP");
      await sleep(ms);
      collector.kill("SIGCONT");
      stopped = Math.max(stopped, ms);
      await sleep(random(1000));
    }
    collector.kill("SIGKILL");
    await collector.gone;
    if (random(3) === 0) await sleep(random(2000));
    collector = await start();
  }
  storming = false;
  await weather;
  receiver.mode = "quick";
  for (const p of probes) await up(p);
  await until("no alert to be active", async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts.length === 0, 20000);
  const queued = async () => JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data.receivers.reduce((n, r) => n + r.queued, 0);
  await until("the queue to be empty", async () => (await queued()) === 0, 30000);
  await sleep(500);

  const episodes = new Map(); // alertname startsAt -> states in order
  const content = new Map(); // what a message says -> its keys
  for (const g of receiver.got) {
    const says = JSON.stringify([g.body.groupKey, g.body.alerts.map((a) => [a.fingerprint, a.status, a.startsAt]).sort()]);
    if (!content.has(says)) content.set(says, new Set());
    content.get(says).add(g.key);
    for (const a of g.body.alerts) {
      const id = `${a.labels.alertname} ${a.startsAt}`;
      const way = episodes.get(id) ?? [];
      if (way.at(-1) !== a.status) way.push(a.status);
      episodes.set(id, way);
    }
  }
  const bad = [];
  for (const [id, way] of episodes) {
    if (way.join(" ") !== "firing resolved") bad.push(`${id}: ${way.join(" ")}`);
    const [name, startsAt] = id.split(" ");
    const at = Date.parse(startsAt);
    const p = probes[Number(name.match(/^A(\d+)x/)?.[1])];
    // A probe's turn, the rule's second, and what the agent holds back while nobody listens.
    if (!p?.downs.some(([from, to]) => at >= from - 50 && at <= to + 2500 + stopped)) bad.push(`${id}: the probe did not fail then`);
  }
  const twice = [...content.values()].filter((keys) => keys.size > 1).length;
  console.log(`      ${kills} kills, seed ${seed}: ${episodes.size} episodes, ${receiver.got.length} messages, ${content.size} contents`);
  if (bad.length && process.env.SHOW_LOG) console.log(w.log(collector));
  receiver.server.closeAllConnections();
  receiver.server.close();
  for (const p of probes) p.server?.close();
  await w.close();
  check(episodes.size > Math.min(100, 5 * kills), "there was no storm");
  check(bad.length === 0, `${bad.length} of ${episodes.size}: ${bad.slice(0, 5).join("; ")}`);
  check(twice === 0, `${twice} contents went out under two keys`);
}

await run([
  [`${kills} kills in a storm, a message for each alert`, () => storm(false)],
  [`${kills} kills in a storm, grouped`, () => storm(true)],
]);
