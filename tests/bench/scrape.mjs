// SPDX-License-Identifier: Apache-2.0
// One page that changes at each scrape, scraped each second by the agent and by Prometheus at once. CPU of
// the agent is what it takes more than an agent without scrapes; Prometheus's is all it takes, so the cost of
// its own page-less second is measured too and taken off. Also: the longest the agent's loop was held, by how late
// its ticks are, and what its memory grew by.
//
//     sh tests/bench/scrape.sh [seconds of each, 15] [lines, 1000 10000]

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { World, cpuSeconds, fetchText, freePort, privateKiB, sleep, until } from "../e2e/world.mjs";

const seconds = Number(process.argv[2] ?? 15);
const sizes = process.argv.length > 3 ? process.argv.slice(3).map(Number) : [1000, 10000];
const w = new World();
const cpuOf = (pid) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6; // ms, of one thread
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);

let page = "";
const lines = (n, turn) => {
  const out = [];
  for (let i = 0; out.length < n; i++) {
    if (i % 50 === 0) out.push(`# HELP bench_${i / 50}_total What is counted.`, `# TYPE bench_${i / 50}_total counter`);
    out.push(`bench_${Math.floor(i / 50)}_total{method="GET",handler="/api/v1/things/${i % 50}",code="200",shard="${i % 7}"} ${i * 1000 + (i % 5 ? 0 : turn)}`);
  }
  return `${out.slice(0, n).join("\n")}\n`;
};
let turn = 0;
let size = 0;
const server = createServer((q, r) => r.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(page));
server.keepAliveTimeout = 60000;

async function prometheus(name, target) {
  const port = await freePort();
  const config = w.put(`${name}.yml`, `scrape_configs:\n${target ? `  - {job_name: bench, scrape_interval: 1s, static_configs: [{targets: ["${target}"]}]}\n` : "  []\n"}`);
  const child = w.spawn(name, "prometheus", [`--config.file=${config}`, `--storage.tsdb.path=${w.dir}/${name}`, `--web.listen-address=127.0.0.1:${port}`]);
  await until(name, async () => (await fetchText(`http://127.0.0.1:${port}/-/ready`)).status === 200, 30000);
  return child;
}

async function stop(child) {
  child.kill("SIGTERM");
  await child.gone;
}

async function measure(target) {
  const config = target ? `scrape_configs: [{job_name: bench, series_limit: 19000, static_configs: [{targets: ["${target}"]}]}]\n` : "";
  const name = target ? `agent${size}` : "idle";
  const agent = await w.agent({ name, host: name, config });
  const prom = await prometheus(`prom${size}`, target);
  await sleep(5000); // both have it
  const [a, p] = [cpuOf(agent.pid), cpuSeconds(prom.pid)];
  await sleep(seconds * 1000);
  const out = {
    agent: (cpuOf(agent.pid) - a) / seconds,
    prometheus: ((cpuSeconds(prom.pid) - p) * 1000) / seconds,
    memory: privateKiB(agent.pid),
    late: await value(`max_over_time(tocsin_agent_tick_lateness_seconds{instance="${name}"}[${seconds}s])`),
    parse: await value(`rate(tocsin_agent_sampler_cpu_seconds_total{sampler="scrape",instance="${name}"}[${seconds}s])`),
    scraped: await value(`scrape_samples_scraped{instance="${name}"}`),
    up: await value(`min_over_time(up{job="bench",instance="${name}"}[${seconds}s])`),
  };
  await stop(agent);
  await stop(prom);
  return out;
}

const port = await freePort();
await new Promise((r) => server.listen(port, "127.0.0.1", r));
await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
const idle = await measure(null);
console.log(`no scrape: agent ${idle.agent.toFixed(2)} ms/s, ${idle.memory} KiB private; Prometheus ${idle.prometheus.toFixed(1)} ms/s`);
for (size of sizes) {
  page = lines(size, 0);
  const change = setInterval(() => (page = lines(size, ++turn)), 1000);
  const m = await measure(`127.0.0.1:${port}`);
  clearInterval(change);
  const [ours, theirs] = [m.agent - idle.agent, m.prometheus - idle.prometheus];
  console.log(
    `${size} lines: agent ${ours.toFixed(2)} ms a scrape, ${((ours / size) * 1000).toFixed(3)} ms per 1,000 lines (of it parsing and keeping ${((m.parse * 1e6) / size).toFixed(3)} ms); Prometheus ${theirs.toFixed(1)} ms, ${((theirs / size) * 1000).toFixed(3)} per 1,000: ${(theirs / ours).toFixed(1)} times; ticks late by ${(m.late * 1000).toFixed(1)} ms at most, ${m.memory} KiB private; ${m.scraped} samples, up ${m.up}`,
  );
}
server.close();
server.closeAllConnections();
await w.close();
