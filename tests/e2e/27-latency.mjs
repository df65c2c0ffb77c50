// SPDX-License-Identifier: Apache-2.0
// Request latency from the kernel beside what the clients measure: planted delays, and Redis under
// redis-benchmark. Skipped with the agent's own reason where it cannot be measured.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { connect as connectTls, createServer as createTls } from "node:tls";
import { World, bin, check, freePort, now, run, until } from "./world.mjs";

const doctor = spawnSync(join(bin, "tocsin-agent"), ["--doctor", "--config", "/dev/null"]).stdout.toString();
const line = doctor.split("\n").find((l) => l.includes("tcp.latency")) ?? "";
if (!/tcp\.latency +ok/.test(line)) {
  console.log(`skipped: ${line.trim() || doctor}`);
  process.exit(0);
}

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const bucket = (s) => Math.ceil(Math.log2(s) * 16);
const exchanges = (port) => value(`tocsin_service_exchanges_total{port="${port}"}`);
const quantile = (port, q) => value(`histogram_quantile(${q}, tocsin_service_request_duration_seconds{port="${port}"})`);

function answering(ms, tls) {
  const serve = (s) => {
    s.setNoDelay(true).on("error", () => {});
    s.on("data", () => setTimeout(() => s.write("x"), ms));
  };
  const server = tls ? createTls(tls, serve) : createServer(serve);
  return new Promise((ok) => server.listen(0, "127.0.0.1", () => ok(server)));
}

// n requests over `clients` connections; the seconds each took.
async function ask(port, n, clients, tls) {
  const took = [];
  let left = n;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      const s = (tls ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }) : connect(port, "127.0.0.1")).setNoDelay(true);
      await new Promise((ok, no) => s.once(tls ? "secureConnect" : "connect", ok).once("error", no));
      s.removeAllListeners("error");
      while (left-- > 0) {
        const begun = now();
        s.write("?");
        await new Promise((ok, no) => s.once("data", ok).once("error", no));
        s.removeAllListeners("error");
        took.push((now() - begun) / 1000);
      }
      s.destroy();
    }),
  );
  return took.sort((a, b) => a - b);
}

// A service is measured from about a second after it was found. Returns what is counted by then.
async function measured(port, one) {
  await until(`port ${port} is measured`, async () => (await one(), (await exchanges(port)) > 0), 15000, 100);
  let last = -1;
  await until("the count of it stands still", async () => {
    const before = last;
    last = await exchanges(port);
    return before === last;
  }, 20000, 2200);
  return last;
}

const servers = [];
await run([
  [
    "planted delays: every request is counted, p50 within a bucket of the client's",
    async () => {
      await w.collector();
      await w.agent();
      for (const [ms, n] of [[2, 500], [20, 500], [200, 100]]) {
        const server = await answering(ms);
        servers.push(server);
        const port = server.address().port;
        const before = await measured(port, () => ask(port, 1, 1));
        const took = await ask(port, n, 5);
        await until(`${n} requests of ${ms} ms counted`, async () => (await exchanges(port)) === before + n, 5000);
        const [k50, k99] = [await quantile(port, 0.5), await quantile(port, 0.99)];
        const [c50, c99] = [took[Math.floor(n * 0.5)], took[Math.floor(n * 0.99)]];
        console.log(`    ${ms} ms: client p50 ${c50.toFixed(6)} p99 ${c99.toFixed(6)}, kernel p50 ${k50.toFixed(6)} p99 ${k99.toFixed(6)}`);
        // Client and server share one event loop here: of a 2 ms answer that is some of both ends.
        check(Math.abs(bucket(k50) - bucket(c50)) <= (ms < 20 ? 3 : 1), `p50 of ${ms} ms: ${k50}, the client's ${c50}`);
        check(bucket(k99) <= bucket(c99) + 2, `p99 of ${ms} ms: ${k99}, the client's ${c99}`);
      }
    },
  ],
  [
    "TLS is no hindrance: its requests, and at most two exchanges of each handshake",
    async () => {
      const [key, cert] = [join(w.dir, "key.pem"), join(w.dir, "cert.pem")];
      execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "30"], { stdio: "ignore" });
      const server = await answering(20, { key: readFileSync(key), cert: readFileSync(cert) });
      servers.push(server);
      const port = server.address().port;
      const before = await measured(port, () => ask(port, 1, 1, true));
      const took = await ask(port, 300, 3, true);
      await until("300 requests over TLS counted", async () => (await exchanges(port)) - before >= 300, 5000);
      const counted = (await exchanges(port)) - before;
      const [k50, c50] = [await quantile(port, 0.5), took[150]];
      console.log(`    counted ${counted}, client p50 ${c50.toFixed(6)}, kernel p50 ${k50.toFixed(6)}`);
      check(counted <= 306, `${counted} exchanges of 300 requests and 3 handshakes`);
      check(Math.abs(bucket(k50) - bucket(c50)) <= 1, `p50 ${k50}, the client's ${c50}`);
    },
  ],
  [
    "redis-benchmark: counted within 0.1 %, and no slower than its client says",
    async () => {
      const port = await freePort();
      w.spawn("redis", "redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", w.dir]);
      await until("redis", () => execFileSync("redis-cli", ["-p", String(port), "ping"]).toString().includes("PONG"));
      const before = await measured(port, () => spawnSync("redis-cli", ["-p", String(port), "ping"]));
      const csv = execFileSync("redis-benchmark", ["-p", String(port), "-t", "get", "-n", "20000", "-c", "10", "--csv"]).toString();
      const counted = async () => (await exchanges(port)) - before;
      await until("20,000 GETs counted", async () => Math.abs((await counted()) - 20000) <= 20, 5000);
      const p50 = Number(csv.trim().split("\n")[1].split(",")[4].replaceAll('"', "")) / 1000;
      const k50 = await quantile(port, 0.5);
      console.log(`    counted ${await counted()}, client p50 ${p50}, kernel p50 ${k50}`);
      check(bucket(k50) <= bucket(p50) + 1, `p50 ${k50}, the client's ${p50}`);
    },
  ],
]);
for (const s of servers) s.close();
await w.close();
