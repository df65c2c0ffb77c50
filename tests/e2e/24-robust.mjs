// SPDX-License-Identifier: Apache-2.0
// What a host does to an agent on a bad day: calls that fail, a wall clock that is set, a sleep, no free
// descriptor, a /proc that goes away. It does not crash, tells nothing absurd, and is whole again after.

import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync, readSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { World, bin, check, now, root, run, sleep, until } from "./world.mjs";

const w = new World();
const shim = join(w.dir, "faults.so");
const control = join(w.dir, "faults");
writeFileSync(control, Buffer.alloc(16));
const turn = (offset, fill) => {
  const fd = openSync(control, "r+");
  const b = Buffer.alloc(8);
  fill(b);
  writeSync(fd, b, 0, offset === 0 ? 8 : 4, offset);
  closeSync(fd);
};
const failing = (percent) => turn(8, (b) => b.writeUInt32LE(percent));
const wallOff = (ms) => turn(0, (b) => b.writeBigInt64LE(BigInt(ms) * 1000000n));
const failed = () => {
  const fd = openSync(control, "r");
  const b = Buffer.alloc(4);
  readSync(fd, b, 0, 4, 12);
  closeSync(fd);
  return b.readUInt32LE(0);
};

let agent;
let worst = 0;
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const up = async () => (await value('up{job="node"}')) === 1;
const fds = () => readdirSync(`/proc/${agent.pid}/fd`).length;

// What would be absurd at any time, over the last seconds.
async function sane(when) {
  check(agent.exitCode === null && agent.signalCode === null, `${when}: the agent ended: ${w.log(agent)}`);
  const odd = (await w.query('{job=~"node|service"}')).filter((s) => !Number.isFinite(Number(s.value?.[1] ?? 0)));
  check(odd.length === 0, `${when}: not a number: ${JSON.stringify(odd.slice(0, 3))}`);
  const cpu = await w.query("max by (cpu) (sum by (cpu) (rate(node_cpu_seconds_total[10s])))");
  for (const c of cpu) {
    worst = Math.max(worst, Number(c.value[1]));
    check(Number(c.value[1]) < 1.6, `${when}: CPU ${c.metric.cpu} worked ${c.value[1]} s a second`);
  }
  for (const [what, expr] of [
    ["below zero", '{job=~"node|service",__name__!~"node_timex_.*|node_time_.*"} < 0'],
    ["CPU counters that go back", "resets(node_cpu_seconds_total[1m]) > 0"],
    ["process counters that go back", "resets(namedprocess_namegroup_cpu_seconds_total[1m]) > 0"],
    ["packets that go back", "resets(node_network_receive_packets_total[1m]) > 0"],
    ["segments that go back", "resets(node_netstat_Tcp_InSegs[1m]) > 0"],
    ["the agent's own CPU goes back", "resets(tocsin_agent_cpu_seconds_total[1m]) > 0"],
    ["too much CPU of processes", `sum(rate(namedprocess_namegroup_cpu_seconds_total[1m])) > ${cpus().length * 1.5}`],
    ["no memory", "node_memory_MemTotal_bytes < 1000000"],
    ["no processes", "node_processes_pids < 2"],
    ["free memory above what there is", "node_memory_MemAvailable_bytes > node_memory_MemTotal_bytes"],
    ["a faster agent than there is", "rate(tocsin_agent_cpu_seconds_total[10s]) > 1.1"],
  ]) {
    const r = await w.query(expr);
    check(r.length === 0, `${when}: ${what}: ${JSON.stringify(r.slice(0, 3))}`);
  }
}
async function saneFor(ms, when) {
  const end = now() + ms;
  do {
    await sane(when);
    await sleep(300);
  } while (now() < end);
}
const well = (what) => until(`the agent to be whole after ${what}`, async () => (await up()) && (await value("node_load1")) >= 0 && (await value("time() - timestamp(node_memory_MemTotal_bytes)")) < 3, 30000, 200);

// Listeners and connections that come and go meanwhile.
let churning = true;
async function churn() {
  while (churning) {
    const server = createServer((s) => s.on("error", () => {}).end("x")).on("error", () => {});
    await new Promise((r) => server.listen(0, "127.0.0.1", r));
    spawnSync("true");
    await sleep(50);
    server.close();
  }
}

await run([
  [
    "an agent under a shim that does nothing is whole",
    async () => {
      execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", shim, join(root, "tests/e2e/faults.c"), "-ldl"]);
      await w.collector();
      const config = w.put("agent.yaml", `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${join(w.dir, "agent")}\n`);
      // A mount namespace of its own, so that its /proc can be taken away.
      const own = process.getuid() === 0 ? ["unshare", "-m"] : [];
      const [command, ...args] = [...own, "env", `LD_PRELOAD=${shim}`, `FAULTS=${control}`, join(bin, "tocsin-agent"), "--config", config];
      agent = w.spawn("agent", command, args);
      await until("the agent", up);
      check(failed() === 0, "calls fail already");
      churn();
      await saneFor(3000, "at rest");
    },
  ],
  ...[5, 30, 100].map((percent) => [
    `${percent} of 100 calls to the kernel fail`,
    async () => {
      const before = failed();
      failing(percent);
      await saneFor(6000, `at ${percent} %`);
      failing(0);
      check(failed() > before + 20, `only ${failed() - before} calls failed`);
      await well(`${percent} %`);
      await saneFor(2000, `after ${percent} %`);
    },
  ]),
  ...[["an hour ahead", 3600e3], ["an hour back", 0], ["a second back", -1000], ["and right again", 0]].map(([how, ms]) => [
    `the wall clock is set: ${how}`,
    async () => {
      const before = w.log(agent).split("event=clock_cut").length;
      wallOff(ms);
      await until("the agent to see it", () => w.log(agent).split("event=clock_cut").length > before, 5000);
      await well("the step");
      await saneFor(2000, "after the step");
    },
  ]),
  [
    "asleep for 5 s, as a laptop is: the clock goes on, nothing else does",
    async () => {
      const before = await value("sum(tocsin_agent_ticks_missed_total)");
      process.kill(agent.pid, "SIGSTOP");
      await sleep(5000);
      wallOff(600e3);
      process.kill(agent.pid, "SIGCONT");
      await well("the sleep");
      await until("the ticks it missed", async () => (await value("sum(tocsin_agent_ticks_missed_total)")) > before, 5000);
      await saneFor(2000, "after the sleep");
      wallOff(0);
      await well("the clock's way back");
    },
  ],
  [
    "no free descriptor while it runs, and the collector goes away meanwhile",
    async () => {
      const limit = (n) => execFileSync("prlimit", ["--pid", String(agent.pid), `--nofile=${n}:`]);
      const soft = readFileSync(`/proc/${agent.pid}/limits`, "utf8").match(/Max open files\s+(\d+)/)[1];
      limit(4); // fewer than it has: what it has it keeps
      await saneFor(4000, "without descriptors");
      const old = [...w.children].find((c) => c.title === "collector");
      old.kill("SIGKILL");
      await old.gone;
      await w.collector();
      await sleep(1500);
      check(agent.exitCode === null, `it ended: ${w.log(agent)}`);
      limit(soft);
      await well("descriptors came back");
      await saneFor(2000, "with descriptors again");
      check(fds() < 400, `${fds()} descriptors are open`);
    },
  ],
  [
    "its /proc goes away and comes back",
    async () => {
      if (process.getuid() !== 0) return console.log("    skipped: only root can");
      const inside = (...command) => execFileSync("nsenter", ["-t", String(agent.pid), "-m", ...command]);
      inside("mount", "-t", "tmpfs", "none", "/proc");
      await saneFor(12000, "without /proc");
      inside("umount", "/proc");
      await well("/proc came back");
      await saneFor(3000, "with /proc again");
    },
  ],
  [
    "it says goodbye as ever",
    async () => {
      churning = false;
      agent.kill("SIGTERM");
      const end = await agent.gone;
      check(end.code === 0, `it ended with ${JSON.stringify(end)}: ${w.log(agent)}`);
      console.log(`    the most a CPU worked: ${worst.toFixed(2)} s a second`);
    },
  ],
]);
await w.close();
