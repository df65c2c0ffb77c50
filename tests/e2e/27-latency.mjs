// SPDX-License-Identifier: Apache-2.0
// Request latency from the kernel beside what the client of a service with planted delays measures (delays.c, of
// whose figures no wait is its own): TCP, UNIX sockets and TLS; uploads; requests that wait. Skipped with
// the agent's own reason where it cannot be measured.

import { execFileSync, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { World, bin, check, freePort, now, root, run, sleep, until } from "./world.mjs";

const doctor = spawnSync(join(bin, "tocsin-agent"), ["--doctor", "--config", "/dev/null"]).stdout.toString();
const line = doctor.split("\n").find((l) => l.includes("tcp.latency")) ?? "";
if (!/tcp\.latency +ok/.test(line)) {
  console.log(`skipped: ${line.trim() || doctor}`);
  process.exit(0);
}

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1] ?? 0);
const bucket = (s) => Math.ceil(Math.log2(s) * 16);
const exchanges = (of) => value(`tocsin_service_exchanges_total{${of}}`);
// Of what came since then: extrapolation makes all buckets larger by the same.
const since = (begun) => `${Math.ceil((now() - begun) / 1000) + 1}s`;
const quantile = (metric, of, q, begun) => value(`histogram_quantile(${q}, increase(${metric}{${of}}[${since(begun)}]))`);

const delays = join(w.dir, "delays");
const [key, cert] = [join(w.dir, "key.pem"), join(w.dir, "cert.pem")];
const services = []; // {kind, ms, n, clients, flags, of: selector, address, tls, before and calls: counts}

async function service(kind, ms, n, clients, flags = []) {
  const port = await freePort();
  const path = join(w.dir, `${kind}-${ms}-${services.length}.sock`);
  const s = { kind, ms, n, clients, flags, port, of: kind === "unix" ? `path="${path}"` : `port="${port}"` };
  s.address = kind === "unix" ? path : `127.0.0.1:${port}`;
  s.tls = kind.startsWith("tls");
  w.spawn(`delays-${services.length}`, delays, ["serve", s.address, ...(s.tls ? [cert, key] : [])]);
  services.push(s);
  return s;
}

function ask(s, n = s.n, clients = s.clients) {
  const out = execFileSync(delays, ["ask", s.address, n, clients, s.ms * 1000, ...(s.tls ? [s.kind] : []), ...s.flags].map(String));
  const [count, least50, least99, p50, p99, first] = out.toString().trim().split(" ").map(Number);
  return { count, least: { p50: least50, p99: least99 }, p50, p99, first };
}

const calls = (s) => (s.kind === "unix" ? 0 : value(`tocsin_dependency_exchanges_total{port="${s.port}"}`));
// What was counted since `before`: at the service, and of who called it (of UNIX sockets nobody is told apart).
async function counted(s) {
  const here = (await exchanges(s.of)) - s.before;
  return [here, s.kind === "unix" ? here : (await calls(s)) - s.calls];
}

// How many buckets the kernel's quantiles are from the client's: the service's and the dependency's. Between what
// an answer took the client at least and at most, none.
async function compare(s) {
  const off = {};
  for (const [p, q] of [["p50", 0.5], ["p99", 0.99]]) {
    const kernel = [await quantile("tocsin_service_request_duration_seconds", s.of, q, s.begun)];
    if (s.kind !== "unix") kernel.push(await quantile("tocsin_dependency_request_duration_seconds", `port="${s.port}"`, q, s.begun));
    off[p] = kernel.map((k) => Math.min(0, bucket(k) - bucket(s.client.least[p])) + Math.max(0, bucket(k) - bucket(s.client[p])));
  }
  const client = ["p50", "p99"].map((p) => `${p} ${s.client.least[p].toFixed(6)} to ${s.client[p].toFixed(6)}`);
  console.log(`    ${s.kind} ${s.ms} ms ${s.flags.join(" ")}: client ${client}${s.client.first ? "" : " (waits for a CPU)"}; buckets off: p50 ${off.p50}, p99 ${off.p99}`);
  return off;
}

// Every request is counted, and both quantiles are within a bucket (4 %) of the client's, above and below. Only
// a client that may not go before others has waits for a CPU of its own above ours.
async function planted(choose) {
  const list = services.filter(choose);
  for (const s of list) {
    s.begun = now();
    s.client = ask(s);
    check(s.client.count === s.n, `the client had ${s.client.count} answers of ${s.n}`);
  }
  for (const s of list) await until(`${s.n} counted`, async () => (await counted(s)).every((n) => n >= s.n), 5000).catch(() => {});
  for (const s of list) s.off = await compare(s);
  await sleep(1200); // what comes after it was enough is counted here
  for (const s of list) {
    const name = `${s.kind} ${s.ms} ms ${s.flags}`;
    const n = await counted(s);
    check(n.every((x) => Math.abs(x - s.n) <= s.n / 1000), `${name}: ${n} counted of ${s.n} requests`);
    for (const p of ["p50", "p99"])
      check(s.off[p].every((x) => x <= 1 && (x >= -1 || !s.client.first)), `${name}: ${p} is ${s.off[p]} buckets from the client's ${s.client[p]}`);
    check(s.client.least.p50 >= 0.9 * s.client.p50 || !s.client.first, `${name}: the client knows no better than ${s.client.least.p50} to ${s.client.p50}`);
    check(s.client.p50 * 1000 >= s.ms, `${name}: answered after ${s.client.p50}`);
  }
}

await run([
  [
    "services with planted delays are found and measured",
    async () => {
      execFileSync("cc", ["-O2", "-o", delays, join(root, "tests/e2e/delays.c"), "-lssl", "-lcrypto", "-lpthread"]);
      execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "30"], { stdio: "ignore" });
      // Of short ones fewer at a time: a client that reads one answer does not see another.
      const plan = [[0.2, 1000, 1], [2, 1000, 4], [20, 200, 10], [200, 50, 25]];
      for (const kind of ["tcp", "unix", "tls", "tls1.2"]) for (const [ms, n, clients] of plan) await service(kind, ms, n, clients);
      for (const kind of ["tcp", "tls", "tls1.2"]) await service(kind, 20, 200, 5, ["fresh"]);
      await service("tcp", 20, 40, 5, ["body=65536", "pace=5000"]);
      await service("unix", 20, 40, 5, ["body=131072", "pace=2000"]);
      const stock = ["starter.yaml", "starter.overrides.yaml"].map((f) => join(root, "rules/stock", f));
      const classic = (metric) => `rate(${metric}_request_duration_seconds_bucket{le="0.1"}[1m]) / ignoring(le) rate(${metric}_request_duration_seconds_count[1m]) < 0.9`;
      const rules = w.put(
        "classic.yaml",
        `groups:\n  - name: classic\n    rules:\n      - {alert: Slow, expr: '${classic("tocsin_service")}'}\n      - {alert: SlowCalls, expr: '${classic("tocsin_dependency")}'}\n`,
      );
      await w.collector({ rules: [...stock, rules] });
      await w.agent({ config: `tls_ports: [${services.filter((s) => s.tls).map((s) => s.port).join(", ")}]\ndependencies: {top: 256} # this host has others\n` });
      let left = services;
      await until("all to be measured", async () => {
        for (const s of left) ask({ ...s, ms: 0 }, 1, 1);
        await sleep(500);
        const seen = await Promise.all(left.map((s) => exchanges(s.of)));
        left = left.filter((_, i) => !seen[i]);
        return !left.length;
      }, 30000).catch((e) => {
        throw new Error(`${e.message}: ${left.map((s) => s.of)}`);
      });
      await sleep(2200); // two frames: all that was asked is counted
      for (const s of services) [s.before, s.calls] = [await exchanges(s.of), await calls(s)];
    },
  ],
  ["TCP: 0.2, 2, 20 and 200 ms, every request counted", () => planted((s) => s.kind === "tcp" && !s.flags.length)],
  ["UNIX sockets: the same", () => planted((s) => s.kind === "unix" && !s.flags.length)],
  ["TLS 1.3 and 1.2: the same, and no handshake counts", () => planted((s) => s.tls && !s.flags.length)],
  ["a connection for each request: TCP, TLS 1.3 and 1.2", () => planted((s) => s.flags[0] === "fresh")],
  ["an upload counts from its last byte", () => planted((s) => s.flags.length === 2)],
  [
    "a rule made for classic buckets is answered exactly, of services and of dependencies",
    async () => {
      const s = services.find((x) => x.kind === "tcp" && x.ms === 20 && !x.flags.length);
      const read = async (metric) =>
        Promise.all([`bucket{le="0.1",port="${s.port}"}`, `bucket{le="+Inf",port="${s.port}"}`, `count{port="${s.port}"}`].map((x) => value(`tocsin_${metric}_request_duration_seconds_${x}`)));
      const before = { service: await read("service"), dependency: await read("dependency") };
      ask(s, 100);
      ask({ ...s, ms: 200 }, 25);
      for (const metric of ["service", "dependency"]) {
        const grown = async () => (await read(metric)).map((x, i) => x - before[metric][i]).join();
        await until(`${metric}: 100 of 125 within 0.1 s`, async () => (await grown()) === "100,125,125", 5000).catch(async (e) => {
          throw new Error(`${e.message}: ${await grown()}`);
        });
      }
    },
  ],
  [
    "a service of another network namespace",
    async () => {
      if (process.getuid() !== 0) return console.log("    skipped: only root can make one");
      const config = w.put("ns.yaml", `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${join(w.dir, "ns")}\nhost: ns\n`);
      w.spawn("ns-agent", join(bin, "tocsin-agent-netns"), [join(bin, "tocsin-agent"), "--config", config]);
      const keeper = w.spawn("keeper", "unshare", ["-n", "sh", "-c", "ip link set lo up && exec sleep 600"]);
      const net = `/proc/${keeper.pid}/ns/net`;
      const lo = () => execFileSync("nsenter", [`--net=${net}`, "ip", "-4", "addr", "show", "dev", "lo", "up"], { stdio: "pipe" }).toString();
      await until("its loopback", () => readlinkSync(net) !== readlinkSync("/proc/self/ns/net") && lo().includes("127.0.0.1"));
      const address = "127.0.0.1:18090";
      w.spawn("ns-service", "nsenter", [`--net=${net}`, delays, "serve", address]);
      const ask = (n) => execFileSync("nsenter", [`--net=${net}`, delays, "ask", address, n, "5", "20000"].map(String));
      const of = `port="18090",netns="${readlinkSync(net).replace(/\D/g, "")}",instance="ns"`;
      await until("it to be measured", async () => (ask(1), (await exchanges(of)) > 0), 25000, 300);
      await sleep(2200);
      const before = await exchanges(of);
      ask(200);
      await until("200 requests", async () => (await exchanges(of)) === before + 200, 5000);
      const p50 = await value(`histogram_quantile(0.5, tocsin_service_request_duration_seconds{${of}})`);
      check(Math.abs(bucket(p50) - bucket(0.0201)) <= 1, `p50 ${p50}`);
    },
  ],
  [
    "requests that wait for an answer are counted while they do, and not when their client has gone",
    async () => {
      const mute = createServer((s) => s.resume());
      const port = await freePort();
      await new Promise((ok) => mute.listen(port, "127.0.0.1", ok));
      const waits = () => value(`tocsin_service_in_flight{port="${port}"}`);
      const clients = [];
      await until("three that wait", async () => {
        // Those of before the port was measured are not seen: a new one each time.
        while (clients.length) clients.pop().destroy();
        for (let i = 0; i < 3; i++) clients.push(connect(port, "127.0.0.1", function () { this.write("?"); }).on("error", () => {}));
        return until("", async () => (await waits()) === 3, 2500).catch(() => false);
      }, 20000);
      clients.pop().destroy();
      await until("two that wait", async () => (await waits()) === 2, 5000);
      while (clients.length) clients.pop().destroy();
      await until("none", async () => (await waits()) === 0, 5000);
      mute.close();
    },
  ],
]);
await w.close();
