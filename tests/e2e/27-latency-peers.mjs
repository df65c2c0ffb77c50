// SPDX-License-Identifier: Apache-2.0
// Request latency from the kernel beside what redis-benchmark, pgbench and wrk measure of real servers, at TCP
// ports and UNIX sockets. Counts are compared, and what takes 10 or 20 ms is within a bucket of the client's. Of
// some ten microseconds most is the client's own (its wake-up, its part of the loop): so much as it measures
// of a server that does nothing (echo.c). Then services at UNIX sockets and UDP ports as such.

import { execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, freePort, now, root, run, sleep, until } from "./world.mjs";

const doctor = spawnSync(join(bin, "tocsin-agent"), ["--doctor", "--config", "/dev/null"]).stdout.toString();
const measured = /tcp\.latency +ok/.test(doctor);
if (!measured) console.log(`no latency: ${doctor.split("\n").find((l) => l.includes("tcp.latency")) ?? doctor}`);

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1] ?? 0);
const bucket = (s) => Math.ceil(Math.log2(s) * 16);
const exchanges = (of) => value(`tocsin_service_exchanges_total{${of}}`);
const us = (s) => `${(s * 1e6).toFixed(0)} us`;

async function settled(of) {
  let last = -1;
  await until("the count to stand still", async () => {
    const before = last;
    last = await exchanges(of);
    return before === last;
  }, 20000, 1300);
  return last;
}

// The client, before all others where we may: else its figures are those of the others here.
const first = spawnSync("chrt", ["-f", "1", "true"]).status === 0 ? ["chrt", "-f", "1"] : [];
const client = (...args) => execFileSync("env", [...first, ...args], { stdio: ["ignore", "pipe", "ignore"], cwd: w.dir }).toString();

// What `of` has of the requests of load(), which returns {n, p50, p99} of the client's: the quantiles of the
// service and, at a port, of the dependency. spare: what is none of the client's requests.
const counts = new Map(); // as of when it last stood still
async function measure(name, of, port, load, spare) {
  const before = counts.get(of) ?? (await settled(of));
  const begun = now();
  const c = load();
  await until(`${c.n} counted`, async () => (await exchanges(of)) - before >= c.n, 5000).catch(() => {});
  counts.set(of, await settled(of));
  const here = counts.get(of) - before;
  const range = `${Math.ceil((now() - begun) / 1000) + 1}s`;
  const quantile = (metric, by, q) => value(`histogram_quantile(${q}, sum(increase(tocsin_${metric}_request_duration_seconds{${by}}[${range}])))`);
  const both = async (metric, by) => ({ p50: await quantile(metric, by, 0.5), p99: await quantile(metric, by, 0.99) });
  const service = await both("service", of);
  const dependency = port ? await both("dependency", `port="${port}"`) : undefined;
  const print = (x) => `${us(x.p50)} ${us(x.p99)}`;
  console.log(`    ${name}: ${here} of ${c.n}; p50 p99: client ${print(c)}, service ${print(service)}${port ? `, dependency ${print(dependency)}` : ""}`);
  check(Math.abs(here - c.n) <= c.n / 1000 + spare, `${name}: ${here} exchanges of ${c.n} requests`);
  return { c, kernel: port ? [service, dependency] : [service] };
}

const known = (of, ping) => until(`${of} to be measured`, async () => (ping(), (await exchanges(of)) > 0), 15000, 300);

// The client has to be woken, and before those of the others that are in the kernel it may not go there, where
// it does not preempt: of five runs one is undisturbed. wrong(client, kernel, name of the quantile) says
// what is. Each run is counted.
async function beside(name, of, port, load, spare, quantiles, wrong) {
  for (let left = 5; left--; ) {
    const { c, kernel } = await measure(name, of, port, load, spare);
    const all = kernel.flatMap((k) => quantiles.map((p) => wrong(c[p], k[p], p))).filter(Boolean);
    if (!all.length) return;
    console.log(`      ${all.join("; ")}`);
    check(left > 0, `${name}: ${all}`);
  }
}

// Many at once, of some ten microseconds: what a client has above ours is its own queue.
const many = (name, of, port, load, spare) =>
  beside(name, of, port, load, spare, ["p50", "p99"], (c, k, p) => bucket(k) > bucket(c) + 1 && `${p} ${us(k)}, the client's ${us(c)}`);

// One at a time: the client has at most so much above ours as it measures of a service that does nothing.
async function alone(name, of, port, load, spare, nothing) {
  const own = nothing();
  console.log(`    of a service that takes ${us(own.took)}: client ${us(own.p50)} ${us(own.p99)}`);
  const most = own.p50 - own.took + 20e-6;
  await beside(`${name}, one at a time`, of, port, load, spare, ["p50"], (c, k) => (bucket(k) > bucket(c) + 1 || c - k > most) && `${us(c - k)} above ours, ${us(most)} are its own`);
}

// What takes milliseconds is within a bucket, above and below.
const slow = (name, ms, of, port, load, spare) =>
  beside(`${name}, ${ms} ms`, of, port, load, spare, ["p50", "p99"], (c, k, p) => (Math.abs(bucket(k) - bucket(c)) > 1 || bucket(k) < bucket(ms / 1000)) && `${p} ${bucket(k) - bucket(c)} buckets from the client's`);

// The client's figures of a service that does nothing, and what that took.
async function echo(name, address, load) {
  const e = w.spawn(`echo-${name}`, join(w.dir, "echo"), [address]);
  return () => {
    const c = load();
    for (let end = now() + 2000; ; ) {
      // redis-benchmark has asked for settings by a connection of its own before: not that one's.
      const [n, took] = w.log(e).trim().split("\n").at(-1).split(" ").map(Number);
      if (n > c.n / 2) return { ...c, took };
      check(now() < end, `echo said nothing of ${c.n} requests: ${w.log(e)}`);
      spawnSync("sleep", ["0.01"]);
    }
  };
}

const redis = { port: await freePort(), path: join(w.dir, "redis.sock") };

function redisBenchmark(where, n, clients, ...command) {
  const csv = client("redis-benchmark", ...where, "-n", n, "-c", clients, "--csv", ...(command.length ? command : ["-t", "get"]));
  const f = csv.trim().split("\n").at(-1).split('","').map((x) => Number(x.replaceAll('"', "")));
  return { n, p50: f[4] / 1000, p99: f[6] / 1000 };
}

let logs = 0;
function pgbench(pg, host, port, n, clients, sql) {
  const prefix = `log-${logs++}`;
  const what = sql ? ["-f", w.put(`${prefix}.sql`, sql)] : ["-S"];
  client(`${pg.bins}/pgbench`, "-h", host, "-p", port, "-U", "postgres", "-n", ...what, "-c", clients, "-t", n / clients, "-l", `--log-prefix=${prefix}`, "postgres");
  const took = readdirSync(w.dir)
    .filter((f) => f.startsWith(`${prefix}.`) && !f.endsWith("sql"))
    .flatMap((f) => readFileSync(join(w.dir, f), "utf8").trim().split("\n"))
    .map((l) => Number(l.split(" ")[2]) / 1e6)
    .sort((a, b) => a - b);
  return { n: took.length, p50: took[Math.ceil(took.length * 0.5) - 1], p99: took[Math.ceil(took.length * 0.99) - 1] };
}

function wrk(port, clients, seconds) {
  const text = client("wrk", "-t", 1, "-c", clients, "-d", seconds, "--latency", `http://127.0.0.1:${port}/`);
  const time = (q) => {
    const [, n, unit] = text.match(new RegExp(`${q}%\\s+([0-9.]+)(us|ms|s)`));
    return Number(n) * { us: 1e-6, ms: 1e-3, s: 1 }[unit];
  };
  return { n: Number(text.match(/(\d+) requests in/)[1]), p50: time(50), p99: time(99) };
}

const latency = [
  [
    "redis-benchmark over TCP and a UNIX socket",
    async () => {
      execFileSync("cc", ["-O2", "-o", join(w.dir, "echo"), join(root, "tests/e2e/echo.c")]);
      const [port, path] = [await freePort(), join(w.dir, "echo.sock")];
      for (const [name, where, address, of, at, nothing] of [
        ["TCP", ["-p", redis.port], `127.0.0.1:${port}`, `port="${redis.port}"`, redis.port, ["-p", port]],
        ["UNIX", ["-s", redis.path], path, `path="${redis.path}"`, 0, ["-s", path]],
      ]) {
        const own = await echo(`redis-${name}`, address, () => redisBenchmark(nothing, 4000, 1));
        await known(of, () => spawnSync("redis-cli", [...where, "ping"].map(String)));
        // What it asks for the server's settings before it begins is more than its requests.
        await many(`redis, ${name}`, of, at, () => redisBenchmark(where, 20000, 10), 4);
        await alone(`redis, ${name}`, of, at, () => redisBenchmark(where, 4000, 1), 4, own);
        await slow(`redis, ${name}`, 10, of, at, () => redisBenchmark(where, 200, 1, "debug", "sleep", "0.01"), 4);
      }
    },
  ],
  [
    "pgbench over TCP and a UNIX socket",
    async () => {
      const pg = await w.postgres();
      const socket = join(w.dir, "postgres");
      const port = await freePort();
      pg.psql("pgbench", "-i", "-q", "postgres");
      for (const [name, host, of, at, address, nothing] of [
        ["TCP", "127.0.0.1", `port="${pg.port}"`, pg.port, `127.0.0.1:${port}`, "127.0.0.1"],
        ["UNIX", socket, `path="${socket}/.s.PGSQL.${pg.port}"`, 0, join(w.dir, `.s.PGSQL.${port}`), w.dir],
      ]) {
        const own = await echo(`postgres-${name}`, address, () => pgbench(pg, nothing, port, 2000, 1, "select 1"));
        await known(of, () => spawnSync(`${pg.bins}/psql`, ["-h", host, "-p", String(pg.port), "-U", "postgres", "-c", "select 1"]));
        // Each connection begins with a startup, and pgbench asks for the scale first.
        await many(`postgres, ${name}`, of, at, () => pgbench(pg, host, pg.port, 8000, 2), 12);
        await alone(`postgres, ${name}`, of, at, () => pgbench(pg, host, pg.port, 2000, 1, "select 1"), 12, own);
        await slow(`postgres, ${name}`, 10, of, at, () => pgbench(pg, host, pg.port, 1600, 8, "select pg_sleep(0.01)"), 20);
      }
    },
  ],
  [
    "nginx under wrk",
    async () => {
      const upstream = await freePort();
      const late = `require("http").createServer((q, r) => setTimeout(() => r.end("ok"), 20)).listen(${upstream}, "127.0.0.1")`;
      w.spawn("upstream", "env", [...first, process.execPath, "-e", late]);
      const port = await freePort();
      const nginx = await w.nginx();
      const proxy = await w.nginx({ upstream });
      const own = await echo("nginx", `127.0.0.1:${port}`, () => wrk(port, 1, 1));
      for (const x of [nginx, proxy]) await known(`port="${x.port}"`, () => spawnSync("curl", ["-s", `http://127.0.0.1:${x.port}/`]));
      // Those on their way when wrk stops, it does not count.
      await many("nginx", `port="${nginx.port}"`, nginx.port, () => wrk(nginx.port, 4, 2), 8);
      await alone("nginx", `port="${nginx.port}"`, nginx.port, () => wrk(nginx.port, 1, 1), 8, own);
      // For each request that took twice the mean wrk adds those it would have sent meanwhile. It shall find none.
      await slow("nginx", 20, `port="${proxy.port}"`, proxy.port, () => wrk(proxy.port, 6, 2), 12);
    },
  ],
];

const udp = await freePort();
let deaf; // there from the start: it is looked for now and then

await run([
  [
    "a service at a UNIX socket shows up with its path, its queue and connections",
    async () => {
      w.redis = w.spawn("redis", "redis-server", ["--port", String(redis.port), "--bind", "127.0.0.1", "--unixsocket", redis.path, "--save", "", "--dir", w.dir, "--tcp-backlog", "77", "--enable-debug-command", "yes"]);
      deaf = w.spawn("deaf", process.execPath, ["-e", `require("dgram").createSocket({ type: "udp4", recvBufferSize: 8192 }).bind(${udp}, "127.0.0.1")`]);
      await until("redis", () => execFileSync("redis-cli", ["-p", String(redis.port), "ping"], { stdio: ["ignore", "pipe", "ignore"] }).toString().includes("PONG"));
      await w.collector();
      await w.agent({ config: "dependencies: {top: 256}\n" });
      const of = `service="redis-server",path="${redis.path}"`;
      await until("it to listen", async () => (await value(`tocsin_service_listening{${of}}`)) === 1, 15000);
      await until("its queue", async () => (await value(`tocsin_service_accept_queue_limit{${of}}`)) === 77, 5000);
      const held = w.spawn("held", "redis-cli", ["-s", redis.path, "blpop", "nothing", "0"]);
      await until("a connection", async () => (await value(`tocsin_service_connections{${of},state="established"}`)) === 1, 12000);
      held.kill("SIGKILL");
    },
  ],
  ...(measured ? latency : []),
  [
    "a UDP service and every datagram it loses",
    async () => {
      const of = `port="${udp}"`;
      await until("it to be seen", async () => (await value(`tocsin_service_udp_sockets{${of}}`)) === 1, 25000);
      // It reads no more: what it has no room for is dropped.
      deaf.kill("SIGSTOP");
      const s = createSocket("udp4");
      for (let i = 0; i < 300; i++) await new Promise((ok) => s.send(Buffer.alloc(500), udp, "127.0.0.1", ok));
      s.close();
      await until("its drops", async () => (await value(`tocsin_service_udp_receive_drops_total{${of}}`)) > 200, 12000);
      await sleep(6000); // the next look has the last of them
      const drops = await value(`tocsin_service_udp_receive_drops_total{${of}}`);
      const queue = await value(`tocsin_service_udp_receive_queue_bytes{${of}}`);
      const kernel = readFileSync("/proc/net/udp", "utf8").split("\n").find((l) => l.includes(`:${udp.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000`)).trim().split(/\s+/);
      console.log(`    300 sent, ${drops} dropped, ${queue} bytes wait`);
      check(drops === Number(kernel.at(-1)), `${drops} drops, /proc/net/udp says ${kernel.at(-1)}`);
    },
  ],
]);
await w.close();
