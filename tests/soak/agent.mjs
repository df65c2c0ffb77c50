// SPDX-License-Identifier: Apache-2.0
// An agent under churn for SOAK_SECONDS (an hour): services, connections, processes and cgroups come and go,
// its configuration is read again, its collector goes away once, it is held for some seconds, and is without
// a free descriptor for a while. Resident memory and descriptors are flat over the second half, counters never
// go back, nothing crosses what is physically possible, and the process is the same at the end.
//
//     make soak                      an hour
//     SOAK_SECONDS=300 make soak     what can be seen in five minutes
//     SERVICES=10 make soak          with ten services that come and go at a time: past an hour's number
//                                    of ids in ten minutes
//
// The spool fills up over its first ten minutes, so a shorter run needs longer to be flat. Private memory is
// told too, but not judged: pages of the program are private or not by who else runs it at the moment.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { World, check, cpuSeconds, freePort, now, privateKiB, rssKiB, run, sleep, until } from "../e2e/world.mjs";

const SECONDS = Number(process.env.SOAK_SECONDS ?? 3600);
const SERVICES = Number(process.env.SERVICES ?? 1);
const GROWTH_KIB = 160; // over the second half, by regression: the noise of a heap under churn
const SERIES_KIB = 0.8;
const w = new World();
const begun = now();
const at = () => (now() - begun) / 1000;
const over = () => at() >= SECONDS;
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const counts = { services: 0, connections: 0, processes: 0, cgroups: 0 };
let agent;

// --- churn ---------------------------------------------------------------------------------------

const listen = (port) =>
  new Promise((ok) => {
    const server = createServer((s) => s.on("error", () => {}).on("data", () => s.write("x")));
    server.once("error", () => ok(null));
    server.listen(port, "127.0.0.1", () => ok(server));
  });

// A service is told of after a second and takes about 20 of a session's 65,000 ids.
async function services() {
  while (!over()) {
    const server = await listen(await freePort());
    counts.services++;
    await sleep(4000);
    await new Promise((r) => (server ? server.close(r) : r()));
    server?.closeAllConnections?.();
  }
}

// Passing listeners on ephemeral ports, which are none.
async function passing() {
  while (!over()) {
    const server = await listen(0);
    await sleep(100);
    server?.close();
  }
}

async function connections(port) {
  while (!over()) {
    const some = Array.from({ length: 20 }, () => connect(port, "127.0.0.1").on("error", () => {}).resume());
    for (const s of some) s.write("?");
    counts.connections += some.length;
    await sleep(100);
    for (const s of some) Math.random() < 0.5 ? s.destroy() : s.end();
  }
}

async function processes() {
  for (let n = 0; !over(); n++) {
    // Now and then one of a new name that is busy enough to be shown.
    const busy = n % 100 === 0;
    const script = busy ? `exec -a soak-${n % 700} sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'` : "exit 0";
    const child = spawn("bash", ["-c", script], { stdio: "ignore" });
    counts.processes++;
    await new Promise((r) => child.once("exit", r).once("error", r));
    await sleep(100);
  }
}

async function cgroups() {
  const root = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((r) => existsSync(join(r, "cgroup.procs")));
  const slice = join(root ?? "/nowhere", `tocsin-soak-${process.pid}.slice`);
  try {
    mkdirSync(slice);
  } catch {
    return console.log("    no cgroups are made: not allowed here");
  }
  for (let n = 0; !over(); n++) {
    const folder = join(slice, `soak-${n % 5}.service`);
    mkdirSync(folder);
    const child = spawn("sleep", ["8"], { stdio: "ignore" });
    writeFileSync(join(folder, "cgroup.procs"), String(child.pid));
    counts.cgroups++;
    await sleep(9000);
    child.kill("SIGKILL");
    await until("the folder to be empty", () => (rmdirSync(folder), true), 5000);
  }
  rmdirSync(slice);
}

async function reloads() {
  while (!over()) {
    await sleep(30000);
    if (!over() && agent.exitCode === null) agent.kill("SIGHUP");
  }
}

// In the first half, so that the second shows what is left of it.
async function troubles() {
  const wait = async (part) => sleep(Math.max(0, SECONDS * part - at()) * 1000);
  await wait(0.1);
  const old = [...w.children].find((c) => c.title === "collector");
  old.kill("SIGKILL");
  await old.gone;
  await sleep(3000);
  await w.collector();
  await wait(0.2);
  execFileSync("prlimit", ["--pid", String(agent.pid), "--nofile=4:"]);
  await sleep(5000);
  execFileSync("prlimit", ["--pid", String(agent.pid), "--nofile=1024:"]);
  await wait(0.3);
  process.kill(agent.pid, "SIGSTOP");
  await sleep(4000);
  process.kill(agent.pid, "SIGCONT");
}

// --- what is looked at ---------------------------------------------------------------------------

const samples = [];
async function watch() {
  const every = Math.max(1000, (SECONDS * 1000) / 720);
  while (!over()) {
    await sleep(every);
    const series = await value("tocsin_agent_series").catch(() => NaN);
    if (!Number.isFinite(series)) continue; // the collector is away
    samples.push({
      t: at(),
      private: privateKiB(agent.pid),
      rss: rssKiB(agent.pid),
      fds: readdirSync(`/proc/${agent.pid}/fd`).length,
      series,
    });
  }
}

const absurd = [];
async function sanity() {
  while (!over()) {
    await sleep(2000);
    for (const [what, expr] of [
      ["below zero", '{job=~"node|service",__name__!~"node_timex_.*|node_time_.*"} < 0'],
      ["CPU goes back", "resets(node_cpu_seconds_total[1m]) > 0"],
      ["CPU of processes goes back", "resets(namedprocess_namegroup_cpu_seconds_total[1m]) > 0"],
      ["a CPU works more than it can", "sum by (cpu) (rate(node_cpu_seconds_total[20s])) > 1.3"],
      ["a rate below zero", "rate(node_context_switches_total[20s]) < 0"],
      ["more free memory than there is", "node_memory_MemAvailable_bytes > node_memory_MemTotal_bytes"],
      ["series are refused", "increase(tocsin_agent_output_refused_total[1m]) > 0"],
    ]) {
      const r = await w.query(expr).catch(() => []);
      if (r.length) absurd.push(`${at().toFixed(0)} s: ${what}: ${JSON.stringify(r.slice(0, 2))}`);
    }
  }
}

/** Least squares: growth per second. */
function slope(points) {
  const n = points.length;
  const [mx, my] = [points.reduce((a, p) => a + p[0], 0) / n, points.reduce((a, p) => a + p[1], 0) / n];
  return points.reduce((a, [x, y]) => a + (x - mx) * (y - my), 0) / points.reduce((a, [x]) => a + (x - mx) ** 2, 0);
}

await run([
  [
    `${SECONDS} s of churn`,
    async () => {
      await w.collector();
      const port = await freePort();
      agent = await w.agent({ config: `probes: [{name: soak, tcp: "127.0.0.1:${port}"}]\n` });
      const steady = await listen(port);
      const pid = agent.pid;
      await Promise.all([...Array.from({ length: SERVICES }, services), passing(), connections(port), processes(), cgroups(), reloads(), troubles(), watch(), sanity()]);
      steady.close();
      const most = await w.query('topk(8, count by (__name__) ({__name__=~".+"}))');
      console.log(`    most series: ${most.map((s) => `${s.metric.__name__} ${s.value[1]}`).join(", ")}`);
      console.log(`    ${JSON.stringify(counts)}, ${samples.length} samples, ${((cpuSeconds(pid) / SECONDS) * 100).toFixed(2)} % of a core`);
    },
  ],
  [
    "it is the process that was started",
    async () => {
      check(agent.exitCode === null && agent.signalCode === null, `it ended: ${w.log(agent)}`);
      check(w.log(agent).split("event=started").length === 2, `it started anew: ${w.log(agent)}`);
    },
  ],
  [
    "resident memory is flat over the second half, but for what more series take",
    async () => {
      const half = samples.filter((s) => s.t > SECONDS / 2);
      check(half.length >= 10, `only ${half.length} samples`);
      const over = (k) => slope(half.map((s) => [s.t, s[k]])) * (SECONDS / 2);
      const tenths = (k) =>
        Array.from({ length: 10 }, (_, i) => samples.filter((x) => Math.floor((x.t / SECONDS) * 10) === i))
          .map((of) => (of.reduce((a, x) => a + x[k], 0) / of.length).toFixed(0))
          .join(" ");
      for (const k of ["private", "rss", "series", "fds"]) console.log(`    ${k} by tenths: ${tenths(k)}; growth over the second half ${over(k).toFixed(0)}`);
      // The agent sees all of the machine: other programs' services are series too.
      const growth = over("rss") - Math.max(0, over("series")) * SERIES_KIB;
      check(growth < GROWTH_KIB, `${growth.toFixed(0)} KiB more over ${SECONDS / 2} s`);
    },
  ],
  [
    "so are descriptors",
    async () => {
      const half = samples.filter((s) => s.t > SECONDS / 2);
      const growth = slope(half.map((s) => [s.t, s.fds])) * (SECONDS / 2);
      console.log(`    ${Math.min(...half.map((s) => s.fds))} to ${Math.max(...half.map((s) => s.fds))}, growth ${growth.toFixed(1)}`);
      // A cgroup's files are open while it is there.
      check(growth < 10, `${growth.toFixed(1)} more over ${SECONDS / 2} s`);
    },
  ],
  [
    "nothing absurd was told",
    async () => check(absurd.length === 0, absurd.slice(0, 5).join("\n")),
  ],
]);
await w.close();
