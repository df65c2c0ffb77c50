// SPDX-License-Identifier: Apache-2.0
// Ten ways in which alerts are lost, invented or late, done to Tocsin and, where they are installed, to
// Prometheus and Alertmanager. One line a drill; the exit status says whether all hold for us.
//
//     make drills                  all ten
//     make drills DRILLS="A J"     some

import { connect } from "node:net";
import { createServer as httpServer } from "node:http";
import { Ours, Peers, fetchText, freePort, hungServer, installed, messages, now, quantile, says, seconds, sleep, told, until } from "./rig.mjs";

const route = (settings, more = "") => `route: {receiver: r, ${settings}}
receivers: [{name: r, webhook_configs: [{url: "http://127.0.0.1:{port}/", send_resolved: true}]}]
${more}`;
const atOnce = "group_by: ['...'], group_wait: 0s, group_interval: 1s";
const alert = (name, labels = {}, more = {}) => ({ labels: { alertname: name, ...labels }, startsAt: new Date().toISOString(), ...more });
const ago = (ms) => new Date(Date.now() - ms).toISOString();
async function arrives(w, name, status, since, timeout) {
  const h = await w.hook(says(name, status), since, timeout);
  return h ? h.at - since : Infinity;
}

const drills = {};

const grouped = route("group_by: [team], group_wait: 1s, group_interval: 15s");
drills.A = {
  what: "group_interval 15 s: the second alert of a group, 3 s after the first",
  async peer(w) {
    await w.alertmanager(grouped);
    await w.post([alert("First", { team: "x" })]);
    await sleep(3000);
    const at = now();
    await w.post([alert("Second", { team: "x" })]);
    return `told after ${seconds(await arrives(w, "Second", "firing", at, 20000))}`;
  },
  async ours(w) {
    await w.start({ rules: { First: { expr: "a > 0", labels: { team: "x" } }, Second: { expr: "b > 0", labels: { team: "x" } } }, route: grouped });
    const f = w.feed();
    await f.send({ a: 0, b: 0 });
    await f.send({ a: 1 });
    await sleep(3000);
    const at = now();
    f.send({ b: 1 });
    const took = await arrives(w, "Second", "firing", at, 20000);
    return [`told after ${seconds(took)}`, took < 1000];
  },
};

drills.B = {
  what: "kill -9 after an alert was told; it ends meanwhile",
  async peer(w) {
    const config = route(atOnce);
    await w.alertmanager(config);
    const at = now();
    await w.post([alert("R", {}, { endsAt: new Date(Date.now() + 6000).toISOString() })]);
    await arrives(w, "R", "firing", at, 5000);
    await sleep(2000);
    w.am.kill("SIGKILL");
    await w.am.gone;
    await sleep(5000);
    await w.alertmanager(config);
    await sleep(15000);
    return `${told(w, "R").filter((a) => a.status === "resolved").length} resolved in 15 s`;
  },
  async ours(w) {
    await w.start({ rules: { R: "r > 0" }, route: route(atOnce) });
    const f = w.feed();
    await f.send({ r: 0 });
    const at = now();
    await f.send({ r: 1 });
    await arrives(w, "R", "firing", at, 5000);
    await sleep(500);
    await w.crash();
    f.send({ r: 0 });
    await sleep(2000);
    const back = now();
    await w.again();
    const took = await arrives(w, "R", "resolved", back, 15000);
    await sleep(3000);
    const resolved = told(w, "R").filter((a) => a.status === "resolved").length;
    const firing = told(w, "R", back).filter((a) => a.status === "firing").length;
    return [`${resolved} resolved after ${seconds(took)}, ${firing} firing again`, resolved === 1 && firing === 0];
  },
};

const inhibiting = (settings) => route(settings, `inhibit_rules: [{source_matchers: [alertname="C"], target_matchers: [alertname="W"]}]\n`);
drills.C = {
  what: "restart; an inhibited alert is heard of before the one that inhibits it",
  async peer(w) {
    const config = inhibiting("group_by: ['...'], group_wait: 1s, group_interval: 1s");
    await w.alertmanager(config);
    const old = { startsAt: ago(60000) };
    await w.post([alert("C", {}, old)]);
    await sleep(500);
    await w.post([alert("W", {}, old)]);
    await sleep(2000);
    const before = messages(w, "W");
    w.am.kill("SIGKILL");
    await w.am.gone;
    await w.alertmanager(config);
    const at = now();
    await w.post([alert("W", {}, old)]);
    await sleep(200);
    await w.post([alert("C", {}, old)]);
    const took = await arrives(w, "W", "firing", at, 4000);
    return `${before} before, then ${took < Infinity ? `paged after ${seconds(took)}` : "not paged"}`;
  },
  async ours(w) {
    await w.start({ rules: { C: "c > 0", W: "w > 0" }, route: inhibiting(atOnce) });
    const source = w.feed("source");
    const target = w.feed("target");
    const at = now();
    await source.send({ c: 1 });
    await arrives(w, "C", "firing", at, 5000);
    await target.send({ w: 1 });
    await sleep(1000);
    source.tell("hold");
    await w.crash();
    await w.again();
    await target.send();
    const firing = (await w.alerts("W"))[0]?.state;
    await sleep(2000);
    source.tell("go");
    await sleep(3000);
    const n = messages(w, "W");
    return [`W is ${firing} and was told ${n} times`, n === 0 && firing === "firing" && messages(w, "C") === 1];
  },
};

drills.D = {
  what: "an alert with `for: 10s` fires; restart",
  async peer(w) {
    w.values.held = 1;
    const options = { rules: { Held: { expr: "held > 0", for: "10s" } } };
    const fires = async () => (await w.api("alerts")).alerts.some((a) => a.state === "firing");
    await w.prometheus(options);
    await until("firing", fires, 20000);
    w.prom.kill("SIGTERM");
    await w.prom.gone;
    await w.prometheus(options);
    const at = now();
    await until("firing again", fires, 20000);
    return `firing ${seconds(now() - at)} after it was ready`;
  },
  async ours(w) {
    await w.start({ rules: { Held: { expr: "held > 0", for: "10s" } }, arrival: false, route: route(atOnce) });
    const fires = async () => (await w.alerts("Held"))[0]?.state === "firing";
    await w.feed().send({ held: 1 });
    await until("firing", fires, 20000);
    await sleep(500);
    w.process.kill("SIGTERM");
    await w.process.gone;
    await w.again();
    const at = now();
    await until("firing again", fires, 20000);
    const took = now() - at;
    await sleep(3000);
    const n = messages(w, "Held");
    return [`firing ${seconds(took)} after it was ready, told ${n} time${n === 1 ? "" : "s"} in all`, took < 1000 && n === 1];
  },
};

const hot = { Hot: "hot > 0", HotFor: { expr: "hot > 0", for: "10s" } };
drills.E = {
  what: "the source of two firing alerts is silent for one round",
  async peer(w) {
    w.values.hot = 1;
    await w.alertmanager(route("group_by: ['...'], group_wait: 0s, group_interval: 100ms"));
    await w.prometheus({ rules: hot });
    await w.hook(says("HotFor", "firing"), 0, 20000);
    await sleep(1000);
    const at = now();
    w.failing = 1;
    await sleep(14000);
    return `${messages(w, "Hot", at) + messages(w, "HotFor", at)} messages for nothing`;
  },
  async ours(w) {
    await w.start({ rules: hot, arrival: false, route: route(atOnce) });
    const f = w.feed();
    await f.send({ hot: 1 });
    await w.hook(says("HotFor", "firing"), 0, 20000);
    await sleep(500);
    const at = now();
    f.tell("hold"); // rounds are of a second
    const marked = async () => {
      const a = [...(await w.alerts("Hot")), ...(await w.alerts("HotFor"))];
      return a.length === 2 && a.every((x) => x.stale && x.state === "firing");
    };
    const stale = await until("a stale mark", marked, 2300).catch(() => false);
    f.tell("go");
    await until("fresh again", async () => !(await w.alerts("Hot"))[0].stale, 3000);
    await sleep(5000);
    const n = w.hooks.filter((h) => h.at >= at).length;
    return [`${n} messages, ${stale ? "marked stale meanwhile" : "no stale mark"}`, n === 0 && stale];
  },
};

const spikes = 20;
drills.F = {
  what: `${spikes} spikes of 100 ms (peer: scraped each 500 ms)`,
  async peer(w) {
    w.values.spike = 0;
    await w.alertmanager(route(atOnce));
    await w.prometheus({ rules: { Spike: "spike > 0" } });
    await w.scraped();
    for (let i = 0; i < spikes; i++) {
      w.values.spike = 1;
      await sleep(100);
      w.values.spike = 0;
      await sleep(2000 + Math.random() * 500);
    }
    return `${new Set(told(w, "Spike").map((a) => a.startsAt)).size} of ${spikes}`;
  },
  // A real agent: a listener is stopped, so that what connects waits in its accept queue.
  async ours(w) {
    const port = await freePort();
    await w.start({ rules: { Spike: `tocsin_service_accept_queue_length_max{port="${port}"} > 2` }, route: route(atOnce) });
    await w.agent();
    const child = w.spawn("queue", process.execPath, ["-e", `require("net").createServer((s) => s.destroy()).listen({port: ${port}, host: "127.0.0.1", backlog: 64})`]);
    await until("its series", async () => (await w.query(`tocsin_service_accept_queue_length_max{port="${port}"}`)).length, 15000);
    for (let i = 0; i < spikes; i++) {
      child.kill("SIGSTOP");
      const socks = Array.from({ length: 5 }, () => connect(port, "127.0.0.1").on("error", () => {}));
      await sleep(100);
      child.kill("SIGCONT");
      await sleep(3200 + Math.random() * 500); // a spike may lie in two frames; it has to be over
      for (const s of socks) s.destroy();
    }
    await sleep(1500);
    const n = new Set(told(w, "Spike").map((a) => a.startsAt)).size;
    return [`${n} of ${spikes}`, n === spikes];
  },
};

const burst = 300;
/** Arrival times of the burst's alerts at a receiver, from its moment: median and last. */
const arrivals = (w, since) => {
  const first = new Map();
  for (const h of w.hooks) for (const a of h.body.alerts ?? h.body) if (a.labels.n && !first.has(a.labels.n)) first.set(a.labels.n, h.at - since);
  const t = [...first.values()];
  return { n: t.length, median: quantile(t, 0.5), last: Math.max(...t) };
};
const spread = (a) => `${a.n}: median ${seconds(a.median)}, last ${seconds(a.last)}`;
drills.G = {
  what: `${burst} alerts, two receivers of which one hangs (peer: two Alertmanagers)`,
  async peer(w) {
    const hung = await hungServer();
    const round = async (p, managers) => {
      for (let i = 0; i < burst; i++) p.values[`burst{n="${i}"}`] = 0;
      await p.prometheus({ rules: { Burst: "burst > 0" }, managers });
      await p.scraped();
      const at = now();
      for (const k of Object.keys(p.values)) p.values[k] = 1;
      await until("all", () => arrivals(p, at).n === burst, 50000, 200).catch(() => {});
      return arrivals(p, at);
    };
    const alone = await round(w, [await w.receiver()]);
    const second = new Peers();
    const beside = await round(second, [hung.port, await second.receiver()]);
    await second.close();
    hung.close();
    return `last ${seconds(alone.last)} alone; beside it ${spread(beside)}`;
  },
  async ours(w) {
    const hung = await hungServer();
    const config = `route: {receiver: good, ${atOnce}, routes: [{receiver: hung, continue: true, matchers: [alertname="Burst"]}, {receiver: good}]}
receivers:
  - {name: hung, webhook_configs: [{url: "http://127.0.0.1:${hung.port}/"}]}
  - {name: good, webhook_configs: [{url: "http://127.0.0.1:{port}/"}]}
`;
    await w.start({ rules: { Burst: "burst > 0", Alone: "alone > 0" }, route: config });
    const f = w.feed();
    const round = async (name) => {
      f.fill(name, "n", 0, burst, 0);
      await f.send();
      await sleep(2500); // what fired in the round before is over
      w.hooks.length = 0;
      const at = now();
      f.fill(name, "n", 0, burst, 1);
      f.send();
      await until("all", () => arrivals(w, at).n === burst, 50000, 20).catch(() => {});
      return arrivals(w, at);
    };
    const best = async (name) => {
      const rounds = [];
      for (let i = 0; i < 3; i++) rounds.push(await round(name));
      return rounds.sort((a, b) => a.last - b.last)[0];
    };
    const alone = await best("alone");
    const beside = await best("burst");
    hung.close();
    return [`last ${seconds(alone.last)} alone; beside it ${spread(beside)}`, beside.n === burst && beside.last < alone.last * 1.5 + 100];
  },
};

drills.H = {
  what: "a rule that cannot be evaluated (many-to-many)",
  async peer(w) {
    Object.assign(w.values, { 'x{a="1",b="1"}': 1, 'x{a="1",b="2"}': 1 });
    await w.alertmanager(route(atOnce));
    await w.prometheus({ rules: { Broken: "x + on(a) x > 0" } });
    await w.scraped();
    await sleep(8000);
    const health = (await w.api("rules")).groups[0].rules[0].health;
    return `health "${health}", ${w.hooks.length} messages in 8 s`;
  },
  async ours(w) {
    await w.start({ rules: { Broken: "x + on(a) x > 0" }, arrival: false, route: route(atOnce) });
    const at = now();
    await w.feed().send({ 'x{a="1",b="1"}': 1, 'x{a="1",b="2"}': 1 });
    const took = await arrives(w, "RuleError", "firing", at, 12000);
    return [`RuleError ${took < Infinity ? `after ${seconds(took)}` : "never came"}`, took < Infinity];
  },
};

drills.I = {
  what: "a limit of 150 series; a target grows to 300",
  async peer(w) {
    for (let i = 0; i < 100; i++) w.values[`wide{n="${i}"}`] = 1;
    await w.alertmanager(route(atOnce));
    await w.prometheus({ rules: { Never: "vector(0) > 1" }, scrape: "sample_limit: 150," });
    await w.scraped();
    for (let i = 0; i < 300; i++) w.values[`wide{n="${i}"}`] = 1;
    await sleep(3000);
    const kept = (await w.api("query?query=count(wide)")).result[0]?.value[1] ?? 0;
    return `${kept} series kept, ${w.hooks.length} messages`;
  },
  async ours(w) {
    await w.start({ rules: { Never: "vector(0) > 1" }, arrival: false, route: route(atOnce), extra: "limits: {series_per_agent: 150}\n" });
    const f = w.feed();
    f.fill("wide", "n", 0, 100, 1);
    await f.send();
    const at = now();
    f.fill("wide", "n", 100, 300, 1);
    await f.send();
    const took = await arrives(w, "SeriesLimit", "firing", at, 10000);
    const kept = Number((await w.query("count(wide)"))[0]?.value[1] ?? 0);
    return [`${kept} kept (no \`other\` bucket), SeriesLimit ${took < Infinity ? `after ${seconds(took)}` : "never"}`, kept === 150 && took < Infinity];
  },
};

const runs = { peer: 8, ours: 300 };
drills.J = {
  what: `sample to webhook (peer: tuned to 500 ms; ${runs.peer} and ${runs.ours} runs)`,
  async peer(w) {
    await w.alertmanager(route("group_by: ['...'], group_wait: 0s, group_interval: 1s"));
    for (let i = 0; i < runs.peer; i++) w.values[`j{n="${i}"}`] = 0;
    await w.prometheus({ rules: { J: "j > 0" } });
    await w.scraped();
    const took = [];
    for (let i = 0; i < runs.peer; i++) {
      await sleep(Math.random() * 700);
      const at = now();
      w.values[`j{n="${i}"}`] = 1;
      const h = await w.hook((x) => x.body.alerts.some((a) => a.labels.n === String(i)), at, 10000);
      took.push(h ? h.at - at : Infinity);
    }
    return `median ${seconds(quantile(took, 0.5))}, max ${seconds(Math.max(...took))}`;
  },
  async ours(w) {
    await w.start({ rules: { J: "j > 0" }, route: route(atOnce) });
    const f = w.feed();
    f.fill("j", "n", 0, runs.ours, 0);
    await f.send();
    await sleep(1000);
    const took = [];
    for (let i = 0; i < runs.ours; i++) {
      const at = now();
      f.send({ [`j{n="${i}"}`]: 1 });
      const h = await w.hook((x) => x.body.alerts.some((a) => a.labels.n === String(i)), at, 5000);
      took.push(h ? h.at - at : Infinity);
      await sleep(60 + Math.random() * 60); // a rule is judged at most each 50 ms
    }
    const p99 = quantile(took, 0.99);
    return [`median ${seconds(quantile(took, 0.5))}, p99 ${seconds(p99)}, max ${seconds(Math.max(...took))}`, p99 < 100];
  },
};

async function half(make, fn) {
  const w = make();
  try {
    return await fn(w);
  } catch (e) {
    return [`failed: ${e.message.split("\n")[0]}`, false];
  } finally {
    await w.close();
  }
}

async function drill(letter) {
  const d = drills[letter];
  const peer = installed ? half(() => new Peers(), d.peer) : Promise.resolve("not installed");
  const ours = half(() => new Ours(), d.ours);
  const [text, holds] = await ours;
  return { letter, what: d.what, peer: String(await peer), ours: text, holds };
}

const only = process.argv.slice(2).map((l) => l.toUpperCase());
const chosen = Object.keys(drills).filter((l) => !only.length || only.includes(l));
// Most of a drill is waiting, so two run at a time; what measures a delay runs by itself.
const chain = async (letters) => {
  const out = [];
  for (const l of letters) if (chosen.includes(l)) out.push(await drill(l));
  return out;
};
const rows = (await Promise.all([chain(["A", "B", "C", "D", "E", "H", "I"]), chain(["F", "G"])])).flat();
rows.push(...(await chain(["J"])));
rows.sort((a, b) => a.letter.localeCompare(b.letter));
const width = (k, head) => Math.max(head.length, ...rows.map((r) => r[k].length));
const [w1, w2, w3] = [width("what", "drill"), width("peer", "Prometheus + Alertmanager"), width("ours", "Tocsin")];
console.log(`   ${"drill".padEnd(w1)}  ${"Prometheus + Alertmanager".padEnd(w2)}  ${"Tocsin".padEnd(w3)}`);
for (const r of rows) console.log(`${r.letter}  ${r.what.padEnd(w1)}  ${r.peer.padEnd(w2)}  ${r.ours.padEnd(w3)}  ${r.holds ? "holds" : "FAILS"}`);
process.exit(rows.every((r) => r.holds) ? 0 : 1);
