// SPDX-License-Identifier: Apache-2.0
// Request latency from the kernel beside what the client of a service with planted delays measures: TCP,
// UNIX sockets and TLS; uploads; requests that wait. Skipped with the agent's own reason where it cannot
// be measured.

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
const services = []; // {of: selector, address, ms, n, tls, flags}

async function service(kind, ms, n, flags = []) {
  const port = await freePort();
  const path = join(w.dir, `${kind}-${ms}-${services.length}.sock`);
  const s = { kind, ms, n, flags, port, of: kind === "unix" ? `path="${path}"` : `port="${port}"` };
  s.address = kind === "unix" ? path : `127.0.0.1:${port}`;
  s.tls = kind.startsWith("tls");
  w.spawn(`delays-${services.length}`, delays, ["serve", s.address, ...(s.tls ? [cert, key] : [])]);
  services.push(s);
  return s;
}

function ask(s, n = s.n, clients = 5) {
  const out = execFileSync(delays, ["ask", s.address, n, clients, s.ms * 1000, ...(s.tls ? [s.kind] : []), ...s.flags].map(String));
  const [count, p50, p99] = out.toString().trim().split(" ").map(Number);
  return { count, p50, p99 };
}

const calls = (s) => value(`tocsin_dependency_exchanges_total{port="${s.port}"}`);

async function compare(s) {
  const begun = now();
  const c = ask(s);
  check(c.count === s.n, `the client had ${c.count} answers of ${s.n}`);
  const counted = async () => (await exchanges(s.of)) - s.before;
  await until(`${s.n} counted`, async () => (await counted()) >= s.n, 5000).catch(() => {});
  const of = (q, metric = "service", label = s.of) => quantile(`tocsin_${metric}_request_duration_seconds`, label, q, begun);
  const [k50, k99] = [await of(0.5), await of(0.99)];
  const client = [bucket(c.p50), bucket(c.p99)];
  const d = { client, p50: [bucket(k50) - client[0]], p99: [bucket(k99) - client[1]] };
  if (s.kind !== "unix") {
    d.p50.push(bucket(await of(0.5, "dependency", `port="${s.port}"`)) - client[0]);
    d.p99.push(bucket(await of(0.99, "dependency", `port="${s.port}"`)) - client[1]);
  }
  console.log(
    `    ${s.kind} ${s.ms} ms ${s.flags.join(" ")}: ${await counted()} of ${s.n}; client p50 ${c.p50.toFixed(6)} p99 ${c.p99.toFixed(6)}, kernel ${k50.toFixed(6)} ${k99.toFixed(6)}: buckets of the service and as a dependency: ${d.p50} and ${d.p99}`,
  );
  return d;
}

// What came after it was enough is counted here.
async function allCounted(list) {
  await sleep(1200);
  for (const s of list) {
    const here = (await exchanges(s.of)) - s.before;
    const called = s.kind === "unix" ? s.n : (await calls(s)) - s.calls;
    check(Math.abs(called - s.n) <= s.n / 1000, `${s.kind} ${s.ms} ms ${s.flags}: ${called} of ${s.n} seen from the client's side`);
    check(Math.abs(here - s.n) <= s.n / 1000, `${s.kind} ${s.ms} ms ${s.flags}: ${here} exchanges of ${s.n} requests`);
  }
}

// The truth is between what was planted and what the client saw, whose wait for a CPU is its own: on a host
// that has one free that is a bucket from 2 ms on.
function between(s, d) {
  const least = bucket(s.ms / 1000) - d.client[0];
  check(d.p50.every((x) => x >= least && x <= 1), `p50 is ${d.p50} buckets off, where ${least} was planted`);
  check(d.p99.every((x) => x <= 1), `p99 is ${d.p99} buckets above the client's`);
}

async function planted(kind, flags = []) {
  const list = services.filter((x) => x.kind === kind && x.flags.join() === flags.join());
  for (const s of list) {
    between(s, await compare(s));
  }
  await allCounted(list);
}

await run([
  [
    "services with planted delays are found and measured",
    async () => {
      execFileSync("cc", ["-O2", "-o", delays, join(root, "tests/e2e/delays.c"), "-lssl", "-lcrypto", "-lpthread"]);
      execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "30"], { stdio: "ignore" });
      const plan = [[0.2, 1000], [2, 1000], [20, 500], [200, 50]];
      for (const kind of ["tcp", "unix", "tls"]) for (const [ms, n] of plan) await service(kind, ms, n);
      for (const kind of ["tcp", "tls", "tls1.2"]) await service(kind, 20, 200, ["fresh"]);
      await service("tcp", 20, 40, ["body=65536", "pace=5000"]);
      await service("unix", 20, 40, ["body=131072", "pace=2000"]);
      const stock = ["starter.yaml", "starter.overrides.yaml"].map((f) => join(root, "rules/stock", f));
      const classic = (metric) => `rate(${metric}_request_duration_seconds_bucket{le="0.1"}[1m]) / ignoring(le) rate(${metric}_request_duration_seconds_count[1m]) < 0.9`;
      const rules = w.put(
        "classic.yaml",
        `groups:\n  - name: classic\n    rules:\n      - {alert: Slow, expr: '${classic("tocsin_service")}'}\n      - {alert: SlowCalls, expr: '${classic("tocsin_dependency")}'}\n`,
      );
      await w.collector({ rules: [...stock, rules] });
      await w.agent({ config: `tls_ports: [${services.filter((s) => s.tls).map((s) => s.port).join(", ")}]\ndependencies: {top: 256} # this host has others\n` });
      for (const s of services)
        await until(`${s.of} to be measured`, async () => (ask(s, 1, 1), (await exchanges(s.of)) > 0), 20000, 300);
      await sleep(2200); // two frames: all that was asked is counted
      for (const s of services) [s.before, s.calls] = [await exchanges(s.of), await calls(s)];
    },
  ],
  ["TCP: 0.2, 2, 20 and 200 ms, every request counted", () => planted("tcp")],
  ["UNIX sockets: the same", () => planted("unix")],
  ["TLS: the same, and no handshake counts", () => planted("tls")],
  [
    "a connection for each request: TCP, TLS 1.3 and 1.2",
    async () => {
      for (const kind of ["tcp", "tls", "tls1.2"]) await planted(kind, ["fresh"]);
    },
  ],
  [
    "an upload counts from its last byte",
    async () => {
      const list = services.filter((x) => x.flags.some((f) => f.startsWith("body")));
      for (const s of list) {
        between(s, await compare(s));
      }
      await allCounted(list);
    },
  ],
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
