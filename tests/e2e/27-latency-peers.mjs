// SPDX-License-Identifier: Apache-2.0
// Request latency from the kernel beside what redis-benchmark, pgbench and wrk measure of real servers, at TCP
// ports and UNIX sockets. Counts are compared; the quantiles are printed beside each other: of some ten
// microseconds most is the client's own (its wake-up, its part of the loop), so the kernel's have to be at
// most the client's. Then services at UNIX sockets and UDP ports as such.

import { execFileSync, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, freePort, now, run, sleep, until } from "./world.mjs";

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

// ping() asks until the service is measured; load() returns {n, p50, p99} of the client.
async function beside(name, of, port, ping, load, spare) {
  await until(`${name} to be measured`, async () => (ping(), (await exchanges(of)) > 0), 15000, 300);
  const before = await settled(of);
  const begun = now();
  const c = load();
  const counted = async () => (await exchanges(of)) - before;
  await until(`${c.n} counted`, async () => (await counted()) >= c.n, 5000).catch(() => {});
  const here = (await settled(of)) - before;
  const range = `${Math.ceil((now() - begun) / 1000) + 1}s`;
  const quantile = (metric, by, q) => value(`histogram_quantile(${q}, sum(increase(tocsin_${metric}_request_duration_seconds{${by}}[${range}])))`);
  const k = [await quantile("service", of, 0.5), await quantile("service", of, 0.99)];
  const d = port ? [await quantile("dependency", `port="${port}"`, 0.5), await quantile("dependency", `port="${port}"`, 0.99)] : [];
  console.log(`    ${name}: ${here} of ${c.n}; p50 p99: client ${us(c.p50)} ${us(c.p99)}, service ${k.map(us).join(" ")}${port ? `, dependency ${d.map(us).join(" ")}` : ""}`);
  check(Math.abs(here - c.n) <= c.n / 1000 + spare, `${here} exchanges of ${c.n} requests`);
  check(bucket(k[0]) <= bucket(c.p50) + 1, `p50 ${k[0]}, the client's ${c.p50}`);
  // On loopback a reply is with the client before the service's send returns: its side may be the shorter.
  if (port) check(d[0] >= k[0] * 0.6 && bucket(d[0]) <= bucket(c.p50) + 1, `p50 as a dependency ${d[0]}, the service's ${k[0]}, the client's ${c.p50}`);
}

const redis = { port: await freePort(), path: join(w.dir, "redis.sock") };

function redisBenchmark(where) {
  const csv = execFileSync("redis-benchmark", [...where, "-t", "get", "-n", "20000", "-c", "10", "--csv"]).toString();
  const f = csv.trim().split("\n")[1].split(",").map((x) => Number(x.replaceAll('"', "")));
  return { n: 20000, p50: f[4] / 1000, p99: f[6] / 1000 };
}

function pgbench(pg, host, n) {
  const prefix = join(pg.dir, `log-${host.includes("/") ? "unix" : "tcp"}`);
  execFileSync(`${pg.bins}/pgbench`, ["-h", host, "-p", String(pg.port), "-U", "postgres", "-S", "-n", "-c", "2", "-t", String(n / 2), "-l", `--log-prefix=${prefix}`, "postgres"], { stdio: "pipe", cwd: pg.dir });
  const took = readdirSync(pg.dir)
    .filter((f) => join(pg.dir, f).startsWith(prefix))
    .flatMap((f) => readFileSync(join(pg.dir, f), "utf8").trim().split("\n"))
    .map((l) => Number(l.split(" ")[2]) / 1e6)
    .sort((a, b) => a - b);
  return { n: took.length, p50: took[Math.floor(took.length / 2)], p99: took[Math.floor(took.length * 0.99)] };
}

const latency = [
  [
    "redis-benchmark over TCP and a UNIX socket",
    async () => {
      const ping = (where) => () => spawnSync("redis-cli", [...where, "ping"]);
      // What it asks for the server's settings before it begins is more than its requests.
      const tcp = ["-p", String(redis.port)];
      await beside("redis, TCP", `port="${redis.port}"`, redis.port, ping(tcp), () => redisBenchmark(tcp), 4);
      const unix = ["-s", redis.path];
      await beside("redis, UNIX", `path="${redis.path}"`, 0, ping(unix), () => redisBenchmark(unix), 4);
    },
  ],
  [
    "pgbench over TCP and a UNIX socket",
    async () => {
      const pg = await w.postgres();
      pg.dir = w.dir;
      const socket = join(w.dir, "postgres");
      pg.psql("pgbench", "-i", "-q", "postgres");
      const ping = (host) => () => spawnSync(`${pg.bins}/psql`, ["-h", host, "-p", String(pg.port), "-U", "postgres", "-c", "select 1"]);
      // Each connection begins with a startup, and pgbench asks for the scale first.
      await beside("postgres, TCP", `port="${pg.port}"`, pg.port, ping("127.0.0.1"), () => pgbench(pg, "127.0.0.1", 8000), 12);
      await beside("postgres, UNIX", `path="${socket}/.s.PGSQL.${pg.port}"`, 0, ping(socket), () => pgbench(pg, socket, 8000), 12);
    },
  ],
  [
    "nginx under wrk",
    async () => {
      const nginx = await w.nginx();
      const url = `http://127.0.0.1:${nginx.port}/`;
      const load = () => {
        const text = execFileSync("wrk", ["-t", "1", "-c", "4", "-d", "2", "--latency", url]).toString();
        const time = (q) => {
          const [, n, unit] = text.match(new RegExp(`${q}%\\s+([0-9.]+)(us|ms|s)`));
          return Number(n) * { us: 1e-6, ms: 1e-3, s: 1 }[unit];
        };
        return { n: Number(text.match(/(\d+) requests in/)[1]), p50: time(50), p99: time(99) };
      };
      // Those on their way when wrk stops, it does not count.
      await beside("nginx", `port="${nginx.port}"`, nginx.port, () => spawnSync("curl", ["-s", url]), load, 8);
    },
  ],
];

await run([
  [
    "a service at a UNIX socket shows up with its path, its queue and connections",
    async () => {
      w.redis = w.spawn("redis", "redis-server", ["--port", String(redis.port), "--bind", "127.0.0.1", "--unixsocket", redis.path, "--save", "", "--dir", w.dir, "--tcp-backlog", "77"]);
      await until("redis", () => execFileSync("redis-cli", ["-p", String(redis.port), "ping"]).toString().includes("PONG"));
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
      const port = await freePort();
      const script = `require("dgram").createSocket({ type: "udp4", recvBufferSize: 8192 }).bind(${port}, "127.0.0.1")`;
      const deaf = w.spawn("deaf", process.execPath, ["-e", script]);
      const of = `port="${port}"`;
      await until("it to be seen", async () => (await value(`tocsin_service_udp_sockets{${of}}`)) === 1, 25000);
      // It reads no more: what it has no room for is dropped.
      deaf.kill("SIGSTOP");
      const s = createSocket("udp4");
      for (let i = 0; i < 300; i++) await new Promise((ok) => s.send(Buffer.alloc(500), port, "127.0.0.1", ok));
      s.close();
      await until("its drops", async () => (await value(`tocsin_service_udp_receive_drops_total{${of}}`)) > 200, 12000);
      await sleep(6000); // the next look has the last of them
      const drops = await value(`tocsin_service_udp_receive_drops_total{${of}}`);
      const queue = await value(`tocsin_service_udp_receive_queue_bytes{${of}}`);
      const kernel = readFileSync("/proc/net/udp", "utf8").split("\n").find((l) => l.includes(`:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000`)).trim().split(/\s+/);
      console.log(`    300 sent, ${drops} dropped, ${queue} bytes wait`);
      check(drops === Number(kernel.at(-1)), `${drops} drops, /proc/net/udp says ${kernel.at(-1)}`);
    },
  ],
]);
await w.close();
