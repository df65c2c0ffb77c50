// SPDX-License-Identifier: Apache-2.0
// What the agent costs at its defaults, idle and with 10,000 loopback connections, beside
// node_exporter (scraped once a second) and Netdata's minimal set where they are installed, all in
// one run; then the collector's CPU per sample from simulated agents.
//
//     sh tests/bench/cost.sh [seconds, 30] [connections, 10000] [agents, 1000]

import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { World, bin, cpuSeconds, fetchText, freePort, now, privateKiB, rssKiB, sleep, until } from "../e2e/world.mjs";

const seconds = Number(process.argv[2] ?? 30);
const connections = Number(process.argv[3] ?? 10000);
const agents = Number(process.argv[4] ?? 1000);
const w = new World();
const counts = new Map(); // values a second, by process

async function measure(what, watched) {
  const before = watched.map((p) => cpuSeconds(p.pid));
  const begun = now();
  await sleep(seconds * 1000);
  const took = (now() - begun) / 1000;
  console.log(what);
  watched.forEach((p, i) => {
    const percent = ((cpuSeconds(p.pid) - before[i]) / took) * 100;
    console.log(`  ${p.title.padEnd(26)} ${percent.toFixed(2).padStart(6)} % of a core   private ${(privateKiB(p.pid) / 1024).toFixed(1)} MiB   RSS ${(rssKiB(p.pid) / 1024).toFixed(1)} MiB   ${counts.has(p) ? `${counts.get(p)} values a second` : ""}`);
  });
}

async function scrapeEverySecond(port, child) {
  const tick = async () => {
    try {
      const r = await fetchText(`http://127.0.0.1:${port}/metrics`);
      counts.set(child, r.text.split("\n").filter((l) => l && l[0] !== "#").length);
    } catch {
      // ended
    }
  };
  child.timer = setInterval(tick, 1000);
}

try {
  const collector = await w.collector();
  const agent = await w.agent();
  const watched = [agent, collector];
  if (existsSync("/usr/bin/prometheus-node-exporter")) {
    for (const [title, extra] of [
      ["node_exporter", []],
      ["node_exporter + tcpstat", ["--collector.tcpstat"]],
    ]) {
      const port = await freePort();
      const c = w.spawn(title, "prometheus-node-exporter", [`--web.listen-address=127.0.0.1:${port}`, ...extra]);
      await until(title, async () => (await fetchText(`http://127.0.0.1:${port}/metrics`)).status === 200);
      await scrapeEverySecond(port, c);
      watched.push(c);
    }
  }
  if (existsSync("/usr/sbin/netdata")) {
    const port = await freePort();
    for (const d of ["cache", "lib", "log", "etc"]) w.put(`nd/${d}/.keep`, "");
    const cfg = w.put(
      "nd/netdata.conf",
      `[global]
 run as user = root
[db]
 mode = ram
 retention = 300
[directories]
 config = ${w.dir}/nd/etc
 log = ${w.dir}/nd/log
 cache = ${w.dir}/nd/cache
 lib = ${w.dir}/nd/lib
[web]
 default port = ${port}
 bind to = 127.0.0.1
[health]
 enabled = no
[ml]
 enabled = no
[statsd]
 enabled = no
[plugins]
 timex = no
 tc = no
 idlejitter = no
 cgroups = no
 checks = no
 apps = no
 charts.d = no
 fping = no
 node.d = no
 python.d = no
 go.d = no
 ioping = no
 slabinfo = no
 diskspace = no
`,
    );
    watched.push(w.spawn("netdata minimal", "netdata", ["-D", "-c", cfg, "-P", `${w.dir}/nd/pid`]));
  }
  await sleep(8000);
  const samples = async () => Number((await w.query(`count({instance!="",job=~"node|service|tocsin|probe"})`))[0]?.value[1] ?? NaN);
  counts.set(agent, await samples());
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
  counts.set(agent, await samples());
  await measure(`${connections} loopback connections (${2 * connections} sockets), ${seconds} s`, watched);
  for (const q of ["tocsin_agent_sampler_interval_seconds{sampler=~\"tcp.*\"}", `sum(tocsin_service_connections{port="${port}",state="established"})`])
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
