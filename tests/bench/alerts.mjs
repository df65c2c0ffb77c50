// SPDX-License-Identifier: Apache-2.0
// Many alerts at once to one webhook, a message each and all in one group: time until the receiver has
// them, CPU and memory of our collector (sample to webhook, rules and journal included) and of
// Alertmanager (given the same alerts by its API), in one run.
//
//     sh tests/bench/alerts.sh [alerts, 10000] [ms the receiver takes to answer, 0]

import { readFileSync, readdirSync } from "node:fs";
import { cpuSeconds, rssKiB } from "../e2e/world.mjs";
import { Ours, Peers, installed, now, quantile, sleep, until } from "../drills/rig.mjs";

const count = Number(process.argv[2] ?? 10000);
const delay = Number(process.argv[3] ?? 0);
const modes = { "one message each": "['...']", grouped: "[alertname]" };
const route = (by) => `route: {receiver: r, group_by: ${by}, group_wait: 0s, group_interval: 1s}
receivers: [{name: r, webhook_configs: [{url: "http://127.0.0.1:{port}/"}]}]
`;

/** Alerts by their label n, with the time of the first message that has them. */
function watch(w) {
  const seen = new Map();
  let read = 0;
  return () => {
    for (; read < w.hooks.length; read++) for (const a of w.hooks[read].body.alerts) if (a.labels.n !== undefined && !seen.has(a.labels.n)) seen.set(a.labels.n, w.hooks[read].at);
    return seen;
  };
}

/** CPU seconds of the threads of these names: what tells, without what decides. */
function threadSeconds(pid, names) {
  let ticks = 0;
  for (const t of readdirSync(`/proc/${pid}/task`)) {
    const f = readFileSync(`/proc/${pid}/task/${t}/stat`, "utf8");
    if (!names.includes(f.slice(f.indexOf("(") + 1, f.lastIndexOf(")")))) continue;
    const v = f.slice(f.lastIndexOf(")") + 2).split(" ");
    ticks += Number(v[11]) + Number(v[12]);
  }
  return ticks / 100;
}

async function measure(w, pid, burst) {
  const seen = watch(w);
  const idle = rssKiB(pid);
  const cpu = cpuSeconds(pid);
  const telling = threadSeconds(pid, ["notify", "journal"]);
  const at = now();
  await burst();
  await until("all alerts", () => seen().size === count, 120000, 50).catch(() => {});
  await sleep(1500); // what is still written, or sent again
  const t = [...seen().values()].map((x) => x - at);
  return {
    told: t.length,
    messages: w.hooks.length,
    half: quantile(t, 0.5) / 1000,
    last: Math.max(...t) / 1000,
    cpu: cpuSeconds(pid) - cpu,
    telling: threadSeconds(pid, ["notify", "journal"]) - telling,
    peak: rssKiB(pid, "VmHWM") / 1024,
    idle: idle / 1024,
  };
}

const show = (name, r) =>
  console.log(
    `  ${name.padEnd(14)} told ${r.told} of ${count} in ${r.messages} messages: half ${r.half.toFixed(2)} s, last ${r.last.toFixed(2)} s; ${r.cpu.toFixed(2)} CPU-s${r.telling ? ` (${r.telling.toFixed(2)} of them to journal and tell)` : ""}; peak ${r.peak.toFixed(0)} MiB, idle before ${r.idle.toFixed(0)} MiB`,
  );

async function tocsin(w, by) {
  const burst = { expr: "burst > 0", labels: { severity: "page" }, annotations: { summary: "instance {{ $labels.instance }} is failing check {{ $labels.n }}" } };
  await w.start({ rules: { Burst: burst }, route: route(by) });
  const f = w.feed();
  f.fill("burst", "n", 0, count, 0);
  await f.send();
  await sleep(2500);
  f.fill("burst", "n", 0, count, 1);
  return measure(w, w.process.pid, () => f.send());
}

async function alertmanager(w, by) {
  await w.alertmanager(route(by));
  await sleep(1000);
  const alerts = Array.from({ length: count }, (_, i) => ({
    labels: { alertname: "Burst", n: String(i), instance: "host", severity: "page" },
    annotations: { summary: `instance host is failing check ${i}` },
    startsAt: new Date().toISOString(),
  }));
  return measure(w, w.am.pid, () => w.post(alerts));
}

async function once(name, w, fn, by) {
  w.receiverDelay = delay;
  try {
    const r = await fn(w, by);
    show(name, r);
    return r;
  } finally {
    await w.close();
  }
}

for (const [mode, by] of Object.entries(modes)) {
  console.log(`${count} alerts, ${mode}, receiver answers after ${delay} ms`);
  const ours = await once("tocsin", new Ours(), tocsin, by);
  if (!installed) continue;
  const peer = await once("alertmanager", new Peers(), alertmanager, by);
  console.log(`  ${"ratio".padEnd(14)} CPU ${(ours.cpu / peer.cpu).toFixed(2)}, memory ${(ours.peak / peer.peak).toFixed(2)}, time to the last ${(ours.last / peer.last).toFixed(2)}`);
}
process.exit();
