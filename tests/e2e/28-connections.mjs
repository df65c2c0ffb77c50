// SPDX-License-Identifier: Apache-2.0
// Connections that are over before anything samples them, counted by the kernel to the last one:
// ends in order, by either side's abort, refused connects; in the agent's network namespace and in
// another. Skipped with the agent's own reason where the kernel cannot be asked.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { World, bin, check, freePort, root, run, until } from "./world.mjs";

const doctor = spawnSync(join(bin, "tocsin-agent"), ["--doctor", "--config", "/dev/null"]).stdout.toString();
const line = doctor.split("\n").find((l) => l.includes("tcp.connections")) ?? "";
if (!/tcp\.connections +ok/.test(line)) {
  console.log(`skipped: ${line.trim() || doctor}`);
  process.exit(0);
}

const w = new World();
const started = [];
const program = join(w.dir, "turnover");
execFileSync("cc", ["-std=c17", "-D_GNU_SOURCE", "-O1", "-o", program, join(root, "tests/e2e/turnover.c"), "-lpthread"]);

// A service that works its lines off; `before` is put in front of the command.
async function service(port, before = []) {
  const [command, ...args] = [...before, program, String(port)];
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  started.push(child);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (what) => {
    const { value } = await answers.next();
    check(value === "done", `${what}: ${value}`);
  };
  await answer("start");
  return {
    child,
    ask: async (text) => {
      child.stdin.write(`${text}\n`);
      await answer(text);
    },
  };
}

const value = async (expr) => Number((await w.query(expr))[0]?.value[1] ?? NaN);
const total = (name, labels) => value(`sum(${name}{${labels}})`);

// All of these have their value, at last and for good: a second later none has gone beyond it.
async function exactly(expected) {
  const seen = async () => Object.fromEntries(await Promise.all(Object.keys(expected).map(async (k) => [k, await value(k)])));
  const equal = (v) => Object.entries(expected).every(([k, n]) => v[k] === n);
  await until("the counts", async () => equal(await seen()), 15000, 100).catch(async (e) => {
    throw new Error(`${e.message}: wanted ${JSON.stringify(expected, null, 1)}, got ${JSON.stringify(await seen(), null, 1)}`);
  });
  const frames = () => value("tocsin_agent_frame_seq");
  const before = await frames();
  await until("two more seconds of frames", async () => (await frames()) >= before + 3, 15000, 100);
  check(equal(await seen()), `went beyond: ${JSON.stringify(await seen(), null, 1)}`);
}

async function work(s) {
  await s.ask("server 500");
  await s.ask("reset 300");
  await s.ask("abort 200");
  await s.ask("refused 100");
}

function expected(labels, dest) {
  return {
    [`sum(tocsin_service_connections_opened_total{${labels}})`]: 11000,
    [`sum(tocsin_service_connections_closed_total{${labels},how="fin"})`]: 10500,
    [`sum(tocsin_service_connections_closed_total{${labels},how="reset"})`]: 500,
    [`sum(tocsin_service_resets_received_total{${labels}})`]: 300,
    [`sum(tocsin_service_resets_sent_total{${labels}})`]: 200,
    [`sum(histogram_count(tocsin_service_connection_duration_seconds{${labels}}))`]: 11000,
    [`sum(tocsin_dependency_connections_opened_total{${dest.service}})`]: 11000,
    [`sum(histogram_count(tocsin_dependency_connect_duration_seconds{${dest.service}}))`]: 11000,
    [`sum(tocsin_dependency_connect_failures_total{${dest.nobody},error="refused"})`]: 100,
  };
}

const known = (labels) => until(`a service ${labels}`, async () => (await total("tocsin_service_connections_opened_total", labels)) >= 0, 15000, 100);

// A link of a network namespace on which nobody answers, and a neighbour there who need not be looked for.
// A connect is given
// up after one repetition, the search after a tenth of a second.
const PREPARE = [
  "ip link set lo up",
  "ip link add v0 type veth peer name v1 && ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up && ip link set v1 up",
  "ip neigh add 10.9.0.66 lladdr 02:00:00:00:00:66 dev v0",
  "echo 1 >/proc/sys/net/ipv4/tcp_syn_retries",
  "echo 1 >/proc/sys/net/ipv4/neigh/v0/mcast_solicit && echo 100 >/proc/sys/net/ipv4/neigh/v0/retrans_time_ms",
  'exec "$0" "$@"',
].join(" && ");

await run([
  [
    "11,000 connections of 1 ms: opened, closed and how, resets, refused connects and bytes are exact",
    async () => {
      await w.collector();
      await w.agent({ config: "dependencies: {top: 256}\n" }); // other programs on this machine connect, too
      const port = await freePort();
      const s = await service(port);
      const labels = `port="${port}",job="service"`;
      await known(labels);
      // Orderly ends first: an abort clears the kernel's count of bytes.
      await s.ask("fin 10000");
      await exactly({
        [`sum(tocsin_service_connections_opened_total{${labels}})`]: 10000,
        [`sum(tocsin_service_connections_closed_total{${labels},how="fin"})`]: 10000,
        [`sum(tocsin_service_received_bytes_total{${labels}})`]: 100000,
        [`sum(tocsin_service_sent_bytes_total{${labels}})`]: 200000,
      });
      await work(s);
      await exactly({
        ...expected(labels, { service: `dest="turnover",port="${port}"`, nobody: `dest="127.0.0.1:${port + 1}"` }),
        [`sum(tocsin_service_connections_closed_total{${labels},how!~"fin|reset"}) or vector(0)`]: 0,
      });
      const p50 = await value(`histogram_quantile(0.5, tocsin_service_connection_duration_seconds{${labels}})`);
      console.log(`    p50 of a connection's life ${p50.toFixed(6)} s`);
      check(p50 >= 0.001 && p50 < 0.1, `p50 ${p50}`);
    },
  ],
  [
    "connections that are open when they are asked about are opened and not closed",
    async () => {
      const port = await freePort();
      const s = await service(port);
      const labels = `port="${port}",job="service"`;
      await known(labels);
      await s.ask("hold 50");
      await exactly({
        [`sum(tocsin_service_connections_opened_total{${labels}})`]: 50,
        [`sum(tocsin_service_connections_closed_total{${labels}})`]: 0,
      });
      await s.ask("refused 1");
      await exactly({
        [`sum(tocsin_service_connections_opened_total{${labels}})`]: 50,
        [`sum(tocsin_service_connections_closed_total{${labels},how="fin"})`]: 50,
      });
    },
  ],
  [
    "another network namespace: the same counts, with its label",
    async () => {
      const port = await freePort();
      const s = await service(port, ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']);
      const netns = readlinkSync(`/proc/${s.child.pid}/ns/net`).match(/\d+/)[0];
      const labels = `port="${port}",netns="${netns}"`;
      await s.ask("fin 10000");
      await work(s);
      await exactly(expected(labels, { service: `dest="127.0.0.1:${port}",netns="${netns}"`, nobody: `dest="127.0.0.1:${port + 1}",netns="${netns}"` }));
    },
  ],
  [
    "each way in which connecting fails, and clients that vanish",
    async () => {
      const port = await freePort();
      const s = await service(port, ["unshare", "-n", "sh", "-c", PREPARE]);
      const netns = readlinkSync(`/proc/${s.child.pid}/ns/net`).match(/\d+/)[0];
      const failures = (dest, error) => `sum(tocsin_dependency_connect_failures_total{dest="${dest}:${port}",error="${error}"})`;
      await s.ask("unreachable 4");
      await s.ask("unanswered 4");
      await s.ask("leave 6");
      await s.ask("ports 3");
      await s.ask("vanish 5");
      await exactly({
        [failures("10.9.0.77", "unreachable")]: 4,
        [failures("10.9.0.66", "timeout")]: 4,
        [failures("10.9.0.66", "abandoned")]: 6,
        [failures("127.0.0.1", "no_port")]: 3,
        [`sum(tocsin_service_connections_opened_total{port="${port}",netns="${netns}"})`]: 7,
        [`sum(tocsin_service_connections_closed_total{port="${port}",netns="${netns}",how="timeout"})`]: 5,
      });
    },
  ],
  [
    "another network namespace that is looked into: one writer, the same counts",
    async () => {
      const config = w.put("second.yaml", `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${join(w.dir, "second")}\nhost: second\ndependencies: {top: 256}\n`);
      w.spawn("second", join(bin, "tocsin-agent-netns"), [join(bin, "tocsin-agent"), "--config", config]);
      await until("the second agent", async () => (await w.query('up{job="node",instance="second"} == 1')).length > 0);
      const port = await freePort();
      const s = await service(port, ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']);
      const labels = `port="${port}",instance="second"`;
      await known(labels);
      await s.ask("fin 2000");
      await s.ask("reset 100");
      await exactly({
        [`sum(tocsin_service_connections_opened_total{${labels}})`]: 2100,
        [`sum(tocsin_service_connections_closed_total{${labels},how="fin"})`]: 2000,
        [`sum(tocsin_service_connections_closed_total{${labels},how="reset"})`]: 100,
        [`sum(tocsin_service_resets_received_total{${labels}})`]: 100,
        [`count(tocsin_service_connections_opened_total{${labels}})`]: 1,
        [`count(tocsin_service_received_bytes_total{${labels}})`]: 1,
        [`sum(tocsin_dependency_connections_opened_total{dest="turnover",${labels}})`]: 2100,
      });
    },
  ],
]);
for (const c of started) c.kill("SIGTERM");
await w.close();
