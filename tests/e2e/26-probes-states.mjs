// SPDX-License-Identifier: Apache-2.0
// Each kind of probe beside the real server of Debian, in each state a service can be in: up, slow (the same
// server behind a delay), another protocol behind the port, stopped in the middle, up again, killed. The
// verdict and its class are right each time, and those that hang hold nobody else up.

import { connect } from "node:net";
import * as servers from "./servers.mjs";
import { World, check, run, sleep, until } from "./world.mjs";

const w = new World();
const DELAY_MS = 400;
const password = w.put("password", "m\n", 0o600);
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 40000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 40000).catch(async (e) => {
    throw new Error(`${e.message}; it has ${JSON.stringify((await w.query(`tocsin_probe_failures_total{probe="${name}"}`)).map((s) => [s.metric.class, s.value[1]]))}`);
  });

// Passes everything on, what the server says later.
const slowed = (port) =>
  servers.own((s) => {
    const up = connect(port, "127.0.0.1");
    up.on("error", () => s.destroy());
    up.on("data", (d) => setTimeout(() => s.writable && s.write(d), DELAY_MS));
    up.on("end", () => setTimeout(() => s.end(), DELAY_MS));
    s.on("data", (d) => up.writable && up.write(d));
    s.on("close", () => up.destroy());
  });

const started = {};
const KINDS = [
  ["redis", () => servers.redis(w)],
  ["memcached", () => servers.memcached(w)],
  ["postgresql", () => w.postgres()],
  ["mysql", () => servers.mariadb(w)],
  ["nats", () => servers.nats(w)],
  ["mqtt", () => servers.mosquitto(w)],
  ["amqp", () => servers.rabbitmq(w)],
  ["rabbitmq", () => started.amqp, (s) => Number(new URL(s.url).port), (p) => `http://127.0.0.1:${p}`, `, user: mon, password_file: ${password}`],
  ["nginx", () => servers.nginxStatus(w), (s) => s.port, (p) => `http://127.0.0.1:${p}/status`],
  ["haproxy", () => servers.haproxy(w, started.nginx.port), (s) => s.page, (p) => `http://127.0.0.1:${p}/stats;csv`],
  ["http", () => started.nginx, (s) => s.port, (p) => `http://127.0.0.1:${p}/`],
  ["tcp", () => started.redis],
].map(([kind, start, portOf = (s) => s.port, target = (p) => `127.0.0.1:${p}`, more = ""]) => ({ kind, start, portOf, target, more }));
const both = (list, fn) => Promise.all(list.map(fn));

await run([
  [
    "up, slow and another protocol",
    async () => {
      const mail = await servers.own((s) => s.write("220 mail ready\r\n"));
      started.other = await servers.own((s) => s.write("hello\r\n"));
      let config = "probes:\n";
      for (const k of KINDS) {
        started[k.kind] = await k.start();
        const port = k.portOf(started[k.kind]);
        const tcp = k.kind === "tcp" ? `, send: "PING\\r\\n", expect: "+PONG"` : "";
        const probe = (state, p, every, timeout) => {
          config += `  - {name: ${k.kind}-${state}, ${k.kind}: "${k.target(p)}", every: ${every}, timeout: ${timeout}, slow: 300ms${k.more}${tcp}}\n`;
        };
        probe("is", port, "250ms", "1s");
        probe("slow", (await slowed(port)).port, "1s", "8s");
        probe("wrong", mail.port, "250ms", "1s");
      }
      config += `  - {name: haproxy-socket, haproxy: "${started.haproxy.socket}", every: 50ms, timeout: 500ms}\n`;
      config += `  - {name: varz, nats: "http://127.0.0.1:${started.nats.monitor}", every: 250ms, timeout: 1s}\n`;
      config += `  - {name: bystander, tcp: "127.0.0.1:${started.other.port}", expect: hello, every: 500ms, timeout: 1s}\n`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({ config });
      await both(KINDS, async (k) => {
        await up(`${k.kind}-is`);
        await up(`${k.kind}-slow`);
        const took = await value(`probe_duration_seconds{probe="${k.kind}-slow"}`);
        check(took >= DELAY_MS / 1e3, `${k.kind} behind the delay took ${took} s`);
        // What waits for a word that does not come is a timeout: the banner may be the beginning of it.
        await failed(`${k.kind}-wrong`, k.kind === "tcp" ? "timeout" : "protocol");
      });
      await up("haproxy-socket");
      await up("varz");
    },
  ],
  [
    "stopped: a timeout, and no other probe starts late or is left out",
    async () => {
      const all = [...new Set(Object.values(started).map((s) => s.child).filter(Boolean))];
      const skipped = await value('tocsin_probe_skipped_total{probe="bystander"}');
      for (const child of all) servers.signal(child, "SIGSTOP");
      await both(KINDS, (k) => failed(`${k.kind}-is`, "timeout"));
      await both(["haproxy-socket", "varz"], (n) => failed(n, "timeout"));
      await sleep(4000); // in which everything hangs
      const latency = await value('histogram_quantile(0.99, rate(tocsin_probe_latency_seconds{probe="bystander"}[4s]))');
      const lag = await value('max_over_time(tocsin_probe_start_lag_seconds_max{probe="bystander"}[4s])');
      console.log(`      the bystander meanwhile: p99 ${(latency * 1e3).toFixed(2)} ms, started at most ${(lag * 1e3).toFixed(2)} ms late`);
      check((await success("bystander")) === 1, "the bystander failed");
      check((await value('tocsin_probe_skipped_total{probe="bystander"}')) === skipped, "a turn of the bystander was left out");
      // Held up by one that hangs it would wait for a timeout, which is 500 ms and more; the machine may be busy.
      check(latency < 0.4 && lag < 0.25, `the bystander waited: p99 ${latency}, lag ${lag}`);
      // Its socket's queue is full by now, which is no trouble of this agent.
      check(Number.isNaN(await value('tocsin_probe_failures_total{probe="haproxy-socket",class="local"}')), "a full queue was told as our own trouble");
      for (const child of all) servers.signal(child, "SIGCONT");
      await both(KINDS, (k) => up(`${k.kind}-is`));
    },
  ],
  [
    "killed: refused",
    async () => {
      const all = [...new Set(Object.values(started).map((s) => s.child).filter(Boolean))];
      for (const child of all) servers.signal(child, "SIGKILL");
      await both(KINDS, (k) => failed(`${k.kind}-is`, "refused"));
      await both(["haproxy-socket", "varz"], (n) => failed(n, "refused"));
      check((await success("bystander")) === 1, "the bystander failed");
    },
  ],
]);
servers.closeOwn();
await w.close();
