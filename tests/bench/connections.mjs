// SPDX-License-Identifier: Apache-2.0
// Short connections on loopback while the agent's programs count them, timed by the kernel's own
// accounting (kernel.bpf_stats_enabled, which itself adds some tens of ns to each run). Both ends of a
// connection are on this host; a server's host has one.

import { execFileSync, spawn } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { World, freePort, root, until } from "../e2e/world.mjs";

const n = Number(process.argv[2] ?? 20000);
const STATS = "/proc/sys/kernel/bpf_stats_enabled";
const FILES = {
  connections: ["set_state", "set_state_too", "send_reset", "send_reset_too"],
  "request latency": ["data_ready", "data_ready_too", "send_length", "destroy_sock", "destroy_sock_too"],
};
const w = new World();
const before = readFileSync(STATS, "utf8");

// Other agents on this machine have programs of the same names: ours are those this one holds.
function programs(pid) {
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"));
  return infos.flatMap((t) => t.match(/^prog_id:\s+(\d+)/m)?.[1] ?? []).map(Number);
}

function runs(pid) {
  const held = programs(pid);
  const mine = JSON.parse(execFileSync("/usr/sbin/bpftool", ["prog", "show", "-j"]).toString()).filter((p) => held.includes(p.id));
  return Object.fromEntries(
    Object.entries(FILES).map(([file, names]) => {
      const of = mine.filter((p) => names.includes(p.name));
      return [file, { ns: of.reduce((s, p) => s + (p.run_time_ns ?? 0), 0), count: of.reduce((s, p) => s + (p.run_cnt ?? 0), 0) }];
    }),
  );
}

try {
  writeFileSync(STATS, "1");
  await w.collector();
  const agent = await w.agent();
  const program = join(w.dir, "turnover");
  execFileSync("cc", ["-std=c17", "-D_GNU_SOURCE", "-O1", "-o", program, join(root, "tests/e2e/turnover.c"), "-lpthread"]);
  const port = await freePort();
  const child = spawn(program, [String(port)], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await answers.next();
  await until("the service", async () => (await w.query(`tocsin_service_connections_opened_total{port="${port}"}`)).length > 0);
  const from = runs(agent.pid);
  const begun = performance.now();
  child.stdin.write(`fin ${n}\n`);
  await answers.next();
  const took = (performance.now() - begun) / 1000;
  const to = runs(agent.pid);
  console.log(`${n} connections in ${took.toFixed(1)} s, ${(n / took).toFixed(0)} a second`);
  for (const file of Object.keys(FILES)) {
    const [ns, count] = [to[file].ns - from[file].ns, to[file].count - from[file].count];
    console.log(`  ${file.padEnd(16)} ${(ns / n / 2000).toFixed(2)} us for each local end, ${(count / n / 2).toFixed(1)} runs of ${(ns / count).toFixed(0)} ns`);
  }
  child.kill();
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  writeFileSync(STATS, before);
  await w.close();
}
process.exit();
