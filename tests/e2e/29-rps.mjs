// SPDX-License-Identifier: Apache-2.0
// Short connections whose packets are steered between CPUs (RPS), as a network card's interrupts do it:
// they come in the midst of connects and closes, and are counted all the same, by the multicast of what
// closes alone (nobody, without privilege) and by the programs in the kernel, in the agent's network
// namespace and in another.
//
// Some hosted kernels keep programs from seeing what happens while process 1 is the current one. The
// kernel's own trace says how many changes that were, at most.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { World, bin, check, freePort, root, run, until } from "./world.mjs";

if (process.getuid() !== 0) {
  console.log("skipped: a network namespace of its own needs root");
  process.exit(0);
}
const STEER = 'ip link set lo up && mount -t sysfs none /sys && echo 3 >/sys/class/net/lo/queues/rx-0/rps_cpus && exec "$0" "$@"';
const STEERED = ["unshare", "-n", "-m", "sh", "-c", STEER];
if (!process.env.ALONE) {
  const [first, ...rest] = [...STEERED, process.execPath, ...process.argv.slice(1)];
  process.exit(spawnSync(first, rest, { stdio: "inherit", env: { ...process.env, ALONE: "1" } }).status ?? 1);
}

const N = 10000; // each: the client closes first, the service does
const w = new World();
const program = join(w.dir, "turnover");
execFileSync("cc", ["-std=c17", "-D_GNU_SOURCE", "-O1", "-o", program, join(root, "tests/e2e/turnover.c"), "-lpthread"]);
const started = [];
const value = async (expr) => Number((await w.query(expr))[0]?.value[1] ?? NaN);

async function service(port, before = []) {
  const [first, ...rest] = [...before, program, String(port)];
  const child = spawn(first, rest, { stdio: ["pipe", "pipe", "inherit"] });
  started.push(child);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (what) => check((await answers.next()).value === "done", what);
  await answer("start");
  return async (text) => {
    child.stdin.write(`${text}\n`);
    await answer(text);
  };
}

/** The kernel's own record of TCP sockets that are opened, closed and sent requests, and of whose time that took. */
class Trace {
  constructor(port) {
    const at = join(w.dir, "trace");
    mkdirSync(at, { recursive: true });
    if (spawnSync("mount", ["-t", "tracefs", "none", at]).status !== 0) return; // nothing is held back then
    this.at = join(at, `instances/tocsin-${process.pid}`);
    mkdirSync(this.at);
    this.port = port;
    this.events = { "sock/inet_sock_set_state": "newstate == 1 || newstate == 7", "tcp/tcp_probe": `sport == ${port} && data_len == 10` };
    writeFileSync(join(this.at, "buffer_size_kb"), "24000");
    for (const [e, filter] of Object.entries(this.events)) writeFileSync(join(this.at, "events", e, "filter"), filter);
    this.first = new Set();
    this.look = () => readdirSync("/proc/1/task").forEach((t) => this.first.add(t));
    this.timer = setInterval(this.look, 200);
    this.look();
    this.enable("1");
  }
  enable(to) {
    for (const e of Object.keys(this.events)) writeFileSync(join(this.at, "events", e, "enable"), to);
  }
  /** Changes during process 1: accepted at any port, accepted at ours, closed there, connected to it, asked there. */
  end() {
    const n = { any: 0, accepted: 0, closed: 0, connected: 0, asked: 0 };
    if (!this.at) return n;
    this.enable("0");
    clearInterval(this.timer);
    const port = this.port;
    for (const line of readFileSync(join(this.at, "trace"), "utf8").split("\n")) {
      const thread = line.match(/-(\d+) +\[/)?.[1];
      if (!this.first.has(thread)) continue;
      n.asked += / tcp_probe: /.test(line);
      const [, local, peer, from, to] = line.match(/ sport=(\d+) dport=(\d+) .* oldstate=(\S+) newstate=(\S+)/) ?? [];
      const accepted = from === "TCP_SYN_RECV" && to === "TCP_ESTABLISHED";
      n.any += accepted;
      n.accepted += accepted && +local === port;
      n.closed += to === "TCP_CLOSE" && +local === port;
      n.connected += from === "TCP_SYN_SENT" && to === "TCP_ESTABLISHED" && +peer === port;
    }
    rmdirSync(this.at);
    spawnSync("umount", [join(w.dir, "trace")]);
    return n;
  }
}

async function work(ask) {
  await ask(`fin ${N}`);
  await ask(`server ${N}`);
}

const known = (port) => until(`port ${port} to be a service`, async () => (await value(`tocsin_service_connections{port="${port}",state="established"}`)) >= 0, 15000, 100);
const opened = (port) => value(`sum(tocsin_service_connections_opened_total{port="${port}"})`);
const closed = (port) => value(`sum(tocsin_service_connections_closed_total{port="${port}",how="fin"})`);
const lived = (port) => value(`sum(histogram_count(tocsin_service_connection_duration_seconds{port="${port}"}))`);
const connected = (port) => value(`sum(tocsin_dependency_connections_opened_total{port="${port}"} or tocsin_dependency_connections_opened_total{dest="127.0.0.1:${port}"})`);
const asked = (port) => value(`sum(histogram_count(tocsin_service_request_duration_seconds{port="${port}"}))`);
const lost = (source) => value(`sum(tocsin_agent_events_lost_total{source="${source}"})`);

/** All of it counted, or as much as the kernel let the programs see. */
async function between(what, least, most, read) {
  await until(`${what}: ${least} to ${most}`, async () => (await read()) >= least, 15000, 100).catch(async (e) => {
    throw new Error(`${e.message}: ${await read()}`);
  });
  const n = await read();
  check(n <= most, `${what}: ${n} of ${most}`);
  return n;
}

const doctor = spawnSync(join(bin, "tocsin-agent"), ["--doctor", "--config", "/dev/null"]).stdout.toString();
const latency = /tcp\.latency +ok/.test(doctor);
const programs = /tcp\.connections +ok/.test(doctor);
let agent;

await run([
  [
    "without privilege: opened and closed are the client's number, or the rest is told",
    async () => {
      await w.collector();
      const copy = join(w.dir, "tocsin-agent");
      copyFileSync(join(bin, "tocsin-agent"), copy);
      chmodSync(copy, 0o755);
      const state = join(w.dir, "nobody");
      mkdirSync(state);
      chownSync(state, 65534, 65534);
      const file = w.put("nobody.yaml", `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${state}\n`);
      agent = w.spawn("nobody", "setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", copy, "--config", file]);
      await until("the agent's first sample", async () => (await w.query('up{job="node"} == 1')).length > 0);
      const port = await freePort();
      const ask = await service(port);
      await known(port);
      await work(ask);
      await until("all closes", async () => (await closed(port)) + (await lost("tcp.destroy")) >= 2 * N, 15000, 100);
      console.log(`    opened ${await opened(port)}, closed ${await closed(port)}, lost ${await lost("tcp.destroy")}`);
      check((await opened(port)) + (await lost("tcp.destroy")) === 2 * N, "opened");
      check((await closed(port)) + (await lost("tcp.destroy")) === 2 * N, "closed");
      agent.kill("SIGTERM");
      await agent.gone;
    },
  ],
  ...(programs
    ? [
        [
          "by the programs too: the service's counts are whole, and what no program saw is told to the last one",
          async () => {
            agent = await w.agent({ config: "dependencies: {top: 256}\n" });
            const port = await freePort();
            const ask = await service(port);
            await known(port);
            const trace = new Trace(port);
            const before = await lost("tcp.connections");
            await work(ask);
            const unseen = trace.end();
            await between("opened", 2 * N, 2 * N, () => opened(port));
            await between("closed", 2 * N, 2 * N, () => closed(port));
            const seen = await between("connected", 2 * N - unseen.connected, 2 * N, () => connected(port));
            const lives = await between("durations", 2 * N - unseen.accepted - unseen.closed, 2 * N, () => lived(port));
            const told = await between("told as lost", Math.max(0, 2 * N - lives - unseen.closed), unseen.any, async () => (await lost("tcp.connections")) - before);
            const requests = latency ? await between("requests", 2 * N - unseen.asked, 2 * N, () => asked(port)) : "not asked for";
            console.log(`    requests ${requests}, connected ${seen}, durations ${lives}, told as lost ${told}; during process 1: ${JSON.stringify(unseen)}`);
          },
        ],
        [
          "in another network namespace, where only the programs count",
          async () => {
            const port = await freePort();
            const ask = await service(port, STEERED);
            const trace = new Trace(port);
            await work(ask);
            const unseen = trace.end();
            const n = await between("opened", 2 * N - unseen.accepted, 2 * N, () => opened(port));
            const ends = await between("closed", 2 * N - unseen.closed, 2 * N, () => closed(port));
            const made = await between("connected", 2 * N - unseen.connected, 2 * N, () => connected(port));
            console.log(`    opened ${n}, closed ${ends}, connected ${made}; during process 1: ${JSON.stringify(unseen)}`);
          },
        ],
      ]
    : []),
]);
for (const c of started) c.kill("SIGTERM");
await w.close();
