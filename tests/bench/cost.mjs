// SPDX-License-Identifier: Apache-2.0
// What the agent costs at its defaults, idle, with five probed services and with 10,000 loopback
// connections, beside node_exporter, Netdata's minimal set, collectd and Zabbix's agent where they are
// installed (cost_peers.mjs), all in one run; then the collector's CPU per sample from simulated agents.
//
//     sh tests/bench/cost.sh [seconds, 30] [connections, 10000] [agents, 1000]

import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { World, bin, cpuSeconds, freePort, now, privateKiB, rssKiB, sleep, tree } from "../e2e/world.mjs";
import { peers } from "./cost_peers.mjs";

const seconds = Number(process.argv[2] ?? 30);
const connections = Number(process.argv[3] ?? 10000);
const agents = Number(process.argv[4] ?? 1000);
const w = new World();
const whole = (p) => (p.whole ? tree(p.pid) : [p.pid]);
const all = (p, of) => whole(p).reduce((sum, pid) => sum + of(pid), 0);

async function measure(what, watched) {
  const before = watched.map((p) => all(p, cpuSeconds));
  const begun = now();
  await sleep(seconds * 1000);
  const took = (now() - begun) / 1000;
  console.log(what);
  watched.forEach((p, i) => {
    const percent = ((all(p, cpuSeconds) - before[i]) / took) * 100;
    console.log(`  ${p.title.padEnd(26)} ${percent.toFixed(2).padStart(6)} % of a core   private ${(all(p, privateKiB) / 1024).toFixed(1)} MiB   RSS ${(all(p, rssKiB) / 1024).toFixed(1)} MiB   ${p.values ? `${p.values} values a second` : ""}`);
  });
}

/** Five services that Debian has, each with a probe of its own kind, four times a second. */
async function services() {
  const [redis, memcached, nats, mqtt] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const web = await w.nginx();
  w.spawn("redis", "redis-server", ["--port", String(redis), "--bind", "127.0.0.1", "--save", "", "--dir", w.dir]);
  w.spawn("memcached", "memcached", ["-l", "127.0.0.1", "-p", String(memcached), "-u", "nobody"]);
  w.spawn("nats", "nats-server", ["-a", "127.0.0.1", "-p", String(nats)]);
  w.spawn("mosquitto", "mosquitto", ["-p", String(mqtt)]);
  return `probes:
  - {name: web, http: "http://127.0.0.1:${web.port}/"}
  - {name: redis, redis: "127.0.0.1:${redis}"}
  - {name: memcached, memcached: "127.0.0.1:${memcached}"}
  - {name: nats, nats: "127.0.0.1:${nats}"}
  - {name: mqtt, mqtt: "127.0.0.1:${mqtt}"}
`;
}

try {
  const collector = await w.collector();
  const agent = await w.agent({ host: "idle" });
  const probing = await w.agent({ name: "agent + 5 probes", host: "probing", config: await services() });
  const others = await peers(w);
  const watched = [agent, probing, collector, ...others];
  await sleep(8000);
  const samples = async () => {
    for (const [p, host] of [[agent, "idle"], [probing, "probing"]])
      p.values = Number((await w.query(`count({instance="${host}",job=~"node|service|tocsin|probe"})`))[0]?.value[1] ?? NaN);
  };
  await samples();
  await measure(`idle host, ${seconds} s`, watched);

  // Both ends are on this host: 2 x connections sockets. Sources are spread over 127.0.0.x.
  const port = await freePort();
  const server = createServer((s) => s.on("error", () => {})).listen({ port, host: "127.0.0.1", backlog: 4096 });
  const socks = [];
  for (let i = 0; i < connections; i++) {
    socks.push(connect({ port, host: "127.0.0.1", localAddress: `127.0.0.${2 + (i % 50)}` }).on("error", () => {}));
    if (i % 500 === 499) await sleep(50);
  }
  await sleep(5000);
  await samples();
  await measure(`${connections} loopback connections (${2 * connections} sockets), ${seconds} s`, watched);
  for (const q of ["tocsin_agent_sampler_interval_seconds{instance=\"idle\",sampler=~\"tcp.*\"}", `sum(tocsin_service_connections{instance="idle",port="${port}",state="established"})`])
    console.log(`  ${q}: ${(await w.query(q)).map((r) => `${r.metric.sampler ?? ""} ${r.value[1]}`).join(", ")}`);
  socks.forEach((s) => s.destroy());
  server.close();
  await sleep(1000);

  for (const c of w.children) if (c !== collector) c.kill("SIGTERM");
  await sleep(2000);
  const load = join(bin, "bench/load");
  const before = cpuSeconds(collector.pid);
  const out = await new Promise((resolve, reject) => {
    let text = "";
    const c = spawn(load, [String(w.ingestPort), String(agents), "300", String(seconds)]);
    c.stdout.on("data", (d) => (text += d));
    c.stderr.on("data", (d) => (text += d));
    c.on("exit", (code) => (code ? reject(new Error(text)) : resolve(text)));
  });
  const cpu = cpuSeconds(collector.pid) - before;
  const n = Number(out.match(/samples (\d+)/)[1]);
  console.log(`collector, ${agents} simulated agents x 300 series x 1 Hz, ${seconds} s, starter rules`);
  console.log(`  ${out.trim()}`);
  console.log(`  ${cpu.toFixed(2)} CPU-s, ${((cpu / n) * 1e9).toFixed(0)} ns a sample, ${(n / cpu / 1e6).toFixed(2)} M samples per CPU-second, RSS ${(rssKiB(collector.pid) / 1024).toFixed(0)} MiB`);
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  for (const c of w.children) clearInterval(c.timer);
  await w.close();
}
process.exit();
