// SPDX-License-Identifier: Apache-2.0
// CPU time of the agent per probe of each kind beside the real servers of Debian, less what the same agent
// takes without probes; then how late each of many probes at 1 Hz starts, all of them counted, while a
// hundred more hang.
//
//     sh tests/bench/probes.sh [seconds of each, 8] [probes, 10000] [only: cost or late]

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as servers from "../e2e/servers.mjs";
import { World, freePort, now, rssKiB, sleep, until } from "../e2e/world.mjs";

const seconds = Number(process.argv[2] ?? 8);
const many = Number(process.argv[3] ?? 10000);
const only = process.argv[4];
const w = new World();
const password = w.put("password", "right\n", 0o600);
const mon = w.put("mon", "m\n", 0o600);
const value = async (expr, time) => Number((await w.query(expr, time))[0]?.value[1]);
const cpuUs = (pid) => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e3;

function certificate() {
  const at = (suffix) => join(w.dir, `cert.${suffix}`);
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("key"), "-out", at("pem"), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"], { stdio: "ignore" });
  return at;
}

async function stop(agent) {
  agent.kill("SIGTERM");
  await agent.gone;
}

/** CPU of an agent over the measured time, in us a second, and the count of what it asked. */
async function measure(name, config) {
  const agent = await w.agent({ name, host: name, config });
  await sleep(2500); // its start, and what is set up once
  const asked = () => value(`sum(histogram_count(tocsin_probe_latency_seconds{instance="${name}"}))`);
  const [n, cpu, at] = [await asked(), cpuUs(agent.pid), now()];
  await sleep(seconds * 1000);
  const took = (now() - at) / 1e3;
  const out = { rate: (cpuUs(agent.pid) - cpu) / took, asked: ((await asked()) - n) / took, failed: await value(`count(probe_success{instance="${name}"} == 0)`) };
  out.p50 = await value(`histogram_quantile(0.5, sum(rate(tocsin_probe_latency_seconds{instance="${name}"}[${seconds}s])))`);
  out.p99 = await value(`histogram_quantile(0.99, sum(rate(tocsin_probe_latency_seconds{instance="${name}"}[${seconds}s])))`);
  await stop(agent);
  return out;
}

async function kinds() {
  const at = certificate();
  const s = {
    redis: await servers.redis(w),
    tls: await servers.redis(w, "tls", "--tls-port", String(await freePort()), "--tls-cert-file", at("pem"), "--tls-key-file", at("key"), "--tls-ca-cert-file", at("pem"), "--tls-auth-clients", "no"),
    memcached: await servers.memcached(w),
    nats: await servers.nats(w),
    mqtt: await servers.mosquitto(w),
    mysql: await servers.mariadb(w),
    postgres: await w.postgres(),
    nginx: await servers.nginxStatus(w),
    rabbit: await servers.rabbitmq(w),
  };
  s.haproxy = await servers.haproxy(w, s.nginx.port);
  const tls = s.tls.child.spawnargs[s.tls.child.spawnargs.indexOf("--tls-port") + 1];
  const https = await servers.nginxTls(w, at("pem"), at("key"));
  const here = (p) => `127.0.0.1:${p}`;
  return [
    ["tcp", `tcp: "${here(s.redis.port)}"`],
    ["tcp, a word and its answer", `tcp: "${here(s.redis.port)}", send: "PING\\r\\n", expect: "+PONG"`],
    ["icmp", `icmp: "127.0.0.1"`],
    ["http", `http: "http://${here(s.nginx.port)}/"`],
    ["https, RSA 2048", `http: "https://${here(https.port)}/", ca_file: ${at("pem")}`],
    ["tls, RSA 2048", `tls: "${here(https.port)}", ca_file: ${at("pem")}`],
    ["websocket", `websocket: "ws://${new URL(w.url).host}/v1/live"`],
    ["redis", `redis: "${here(s.redis.port)}"`],
    ["redis over TLS", `redis: "${here(tls)}", tls: true, ca_file: ${at("pem")}`],
    ["memcached", `memcached: "${here(s.memcached.port)}"`],
    ["postgresql", `postgresql: "${here(s.postgres.port)}"`],
    ["mysql, with a login", `mysql: "${here(s.mysql.port)}", user: u, password_file: ${password}`],
    ["amqp", `amqp: "${here(s.rabbit.port)}"`],
    ["rabbitmq", `rabbitmq: "${s.rabbit.url}", user: mon, password_file: ${mon}`],
    ["nats", `nats: "${here(s.nats.port)}"`],
    ["nats, monitoring port", `nats: "http://${here(s.nats.monitor)}"`],
    ["mqtt", `mqtt: "${here(s.mqtt.port)}"`],
    ["nginx stub_status", `nginx: "${s.nginx.url}"`],
    ["haproxy by its page", `haproxy: "${s.haproxy.url}"`],
    ["haproxy by its socket", `haproxy: "${s.haproxy.socket}"`],
  ];
}

async function cost() {
  const idle = await measure("none", "");
  console.log(`CPU of the agent per probe, ${seconds} s each at 200 a second (over TLS 50), numbers of the service once a second`);
  console.log(`${"".padEnd(28)} us a probe    asked/s   p50 ms   p99 ms`);
  for (const [i, [what, target]] of (await kinds()).entries()) {
    // Handshakes cost the servers more than us: fewer, so that what is measured is not their queue.
    const [n, every] = /TLS|RSA/.test(what) ? [10, 200] : [10, 50];
    const list = Array.from({ length: n }, (_, k) => `  - {name: p${k}, ${target}, every: ${every}ms}\n`).join("");
    const m = await measure(`kind${i}`, `probes:\n${list}`);
    const us = (m.rate - idle.rate) / m.asked;
    console.log(`${what.padEnd(28)} ${us.toFixed(0).padStart(10)} ${m.asked.toFixed(0).padStart(10)} ${(m.p50 * 1e3).toFixed(2).padStart(8)} ${(m.p99 * 1e3).toFixed(2).padStart(8)}${m.failed ? `   ${m.failed} of ${n} fail` : ""}`);
  }
}

async function jitter() {
  const addresses = Array.from({ length: 10 }, (_, i) => `127.0.0.${i + 1}`);
  const target = await servers.redis(w, "target", "--tcp-backlog", "65535", "--bind", ...addresses);
  const deaf = await servers.own(() => {});
  const hang = Array.from({ length: 100 }, (_, i) => `  - {name: hang${i}, redis: "127.0.0.1:${deaf.port}", every: 1s}\n`).join("");
  const probes = Array.from({ length: many - 100 }, (_, i) => `  - {name: p${i}, tcp: "${addresses[i % 10]}:${target.port}", every: 1s}\n`).join("");
  const begun = now();
  const agent = await w.agent({ name: "many", host: "many", config: `probes:\n${hang}${probes}` });
  // A sampler of so many series is over its budget and sampled each 2, 4, 8 s: its own time counts.
  const lag = 'tocsin_agent_probe_start_lag_seconds{instance="many"}';
  const sample = async () => ({ n: await value(`histogram_count(${lag})`), at: await value(`timestamp(${lag})`) });
  await until("all of them to start", async () => (await sample()).n >= many, 60000, 200);
  const up = (now() - begun) / 1e3;
  const [first, cpu, begin] = [await sample(), cpuUs(agent.pid), now()];
  await sleep(3 * seconds * 1000);
  const busy = (cpuUs(agent.pid) - cpu) / (now() - begin) / 1e3;
  const last = await until("a sample after that", async () => ((s) => s.at >= first.at + 3 * seconds && s)(await sample()), 20000, 200);
  const took = last.at - first.at;
  const rate = (last.n - first.n) / took;
  const q = async (p) => (await value(`histogram_quantile(${p}, rate(${lag}[${Math.ceil(took) + 1}s]))`)) * 1e3;
  const p99 = await q(0.99);
  console.log(`${many} probes at 1 Hz, 100 of them hanging, for ${took.toFixed(0)} s (all running ${up.toFixed(1)} s after the agent's start)`);
  console.log(`  started ${rate.toFixed(0)} a second; late by p50 ${(await q(0.5)).toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (limit 20), p99.9 ${(await q(0.999)).toFixed(2)} ms, at most ${(await q(1)).toFixed(2)} ms`);
  console.log(`  agent ${(busy * 100).toFixed(1)} % of a core, ${((busy * 1e6) / rate).toFixed(1)} us a probe, RSS ${(rssKiB(agent.pid) / 1024).toFixed(0)} MiB`);
  await stop(agent);
  if (!(p99 < 20) || rate < many * 0.98) process.exitCode = 1;
}

try {
  await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")], extra: "limits: {series_per_agent: 30000}\n" });
  if (only !== "cost") await jitter();
  if (only !== "late") await cost();
} finally {
  servers.closeOwn();
  await w.close();
}
