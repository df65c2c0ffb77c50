// SPDX-License-Identifier: Apache-2.0
// The ladder, rung by rung: capabilities taken away one by one, a /proc that hides, a kernel without the
// tracepoints, and hosts that lack whole trees. The agent always starts, samples what is left, and
// --doctor and tocsin_agent_sampler_available tell the same with the same reason.

import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, run, until } from "./world.mjs";

if (process.getuid() !== 0) {
  console.log("skipped: only root can take capabilities away and make namespaces");
  process.exit(0);
}

const NOBODY = 65534;
const w = new World();
const agent = join(w.dir, "tocsin-agent");
copyFileSync(join(bin, "tocsin-agent"), agent); // where nobody may run it
chmodSync(agent, 0o755);

// As nobody with these capabilities, ambient as systemd gives them; `held` "" = none.
const nobody = (held, ...command) => {
  const set = ["-all", ...held.split(" ").filter(Boolean).map((c) => `+${c}`)].join(",");
  return ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", `--inh-caps=${set}`, `--ambient-caps=${set}`, ...command];
};
const mounted = (mounts, ...command) => ["unshare", "-m", "sh", "-ec", `${mounts}\nexec "$@"`, "sh", ...command];

/** {rows: {sampler: {ok, reason, fixes}}, text, status} of --doctor, run that way. */
function doctor(wrap) {
  const [command, ...args] = wrap(agent, "--doctor", "--config", "/dev/null", "--state-dir", w.dir);
  const r = spawnSync(command, args);
  const text = r.stdout.toString();
  const rows = {};
  let last;
  for (const line of text.split("\nsamplers\n")[1].split(/\n(?=\S)/)[0].split("\n")) {
    const row = line.match(/^ {2}(.{4}) (\S+) +(ok|NO) +(\d+ ms|events) +(.*)$/);
    const fix = line.match(/^ +fix: (.*)$/);
    if (row) rows[row[2]] = last = { tier: row[1].trim(), ok: row[3] === "ok", reason: row[5], fixes: [] };
    else if (fix) last.fixes.push(fix[1]);
    else check(line.startsWith("  all of them: "), `a line of --doctor that is neither: ${line}`);
  }
  return { rows, text, status: r.status, stderr: r.stderr.toString() };
}

let turn = 0;
/** Looks both ways, compares them, and returns the doctor's table. */
async function look(wrap, inspect) {
  const d = doctor(wrap);
  const again = doctor(wrap);
  check(d.text === again.text, `two runs differ:\n${d.text}\n${again.text}`);
  const missing = Object.values(d.rows).filter((r) => !r.ok).length;
  check(d.status === (missing ? 1 : 0), `status ${d.status} with ${missing} missing: ${d.text}${d.stderr}`);
  check(Object.values(d.rows).every((r) => r.ok || r.reason), `one is missing without a reason: ${d.text}`);

  const name = `ladder-${++turn}`;
  const state = join(w.dir, name);
  mkdirSync(state);
  chownSync(state, NOBODY, NOBODY);
  const config = w.put(`${name}.yaml`, `collector: http://127.0.0.1:${w.ingestPort}\nhost: ${name}\nstate_dir: ${state}\n`);
  const [command, ...args] = wrap(agent, "--config", config);
  const child = w.spawn(name, command, args);
  let told = [];
  // One agent says at once what it lacks: the rows but those that are no samplers.
  const expected = Object.keys(d.rows).filter((r) => r !== "process.names").sort();
  await until(`${name} to tell of its samplers`, async () => {
    told = (await w.query(`tocsin_agent_sampler_available{instance="${name}"}`)).filter((s) => s.metric.sampler in d.rows);
    return told.length === expected.length;
  }).catch((e) => {
    throw new Error(`${e.message}: ${told.map((s) => s.metric.sampler)}; ${expected}\n${w.log(child)}`);
  });
  for (const s of told) {
    const row = d.rows[s.metric.sampler];
    check((s.value[1] === "1") === row.ok, `${s.metric.sampler} is ${s.value[1]}, the doctor says ${row.ok}: ${row.reason}`);
    check((s.metric.reason ?? "") === (row.ok ? "" : row.reason), `${s.metric.sampler}: ${s.metric.reason}, the doctor says ${row.reason}`);
  }
  check((await w.query(`up{instance="${name}"} == 1`)).length > 0, `${name} is not up`);
  check(child.exitCode === null, `${name} ended: ${w.log(child)}`);
  inspect?.(child.pid);
  child.kill("SIGTERM");
  const end = await child.gone;
  check(end.code === 0, `${name} ended with ${JSON.stringify(end)}: ${w.log(child)}`);
  return d.rows;
}

const plain = (...command) => command;
const kernel = ["tcp.latency", "tcp.connections"]; // tier D
let whole; // what an agent that may everything has here
const hasD = () => whole["tcp.latency"].ok;
// Those that are missing beyond what is missing here anyway.
const lost = (rows) => Object.keys(rows).filter((r) => whole[r].ok && !rows[r].ok).sort();

await run([
  [
    "everything: what this host has",
    async () => {
      await w.collector();
      whole = await look(plain);
      for (const must of ["tcp.listen", "tcp.established", "host.cpu", "host.processes"]) check(whole[must]?.ok, `${must} is not there: ${whole[must]?.reason}`);
      console.log(`    missing here: ${Object.keys(whole).filter((r) => !whole[r].ok).join(" ") || "nothing"}`);
      const tiers = Object.values(whole).map((r) => r.tier || "~");
      check(tiers.join() === [...tiers].sort().join(), `rungs are not in order: ${tiers}`);
    },
  ],
  [
    "nobody without capabilities: A, B and C stay; D says what it lacks and how it is granted",
    async () => {
      const rows = await look((...c) => nobody("", ...c));
      for (const k of kernel.filter((s) => whole[s]?.ok)) {
        check(!rows[k].ok && /CAP_BPF and CAP_PERFMON/.test(rows[k].reason), `${k}: ${rows[k].reason}`);
        check(rows[k].fixes.includes(`setcap cap_bpf,cap_perfmon+ep ${agent}`), `fixes of ${k}: ${rows[k].fixes}`);
        check(rows[k].fixes.includes("or in the unit: AmbientCapabilities=CAP_BPF CAP_PERFMON"), `fixes of ${k}: ${rows[k].fixes}`);
      }
      check(rows["tcp.listen"].ok && rows["tcp.established"].ok, "tiers A to C need no capability");
      check(/units and ports/.test(rows["process.names"].reason), `names: ${rows["process.names"].reason}`);
      check(rows["process.names"].fixes.some((f) => f.startsWith("setcap cap_dac_read_search,cap_sys_ptrace+ep ")), "no fix for names");
    },
  ],
  ...["bpf", "perfmon", "net_admin", "sys_ptrace"].map((one) => [
    `nobody with CAP_${one.toUpperCase()} alone`,
    async () => {
      const rows = await look((...c) => nobody(one, ...c));
      for (const k of kernel.filter((s) => whole[s]?.ok)) check(!rows[k].ok, `${k} runs with ${one} alone`);
      // What is held already is in the command too: setcap replaces.
      if (hasD()) check(rows["tcp.latency"].fixes[0].includes(`cap_${one}`), `fix: ${rows["tcp.latency"].fixes[0]}`);
      if (one === "net_admin") check(rows["proc.events"].ok === whole["proc.events"].ok, "deaths of processes need only CAP_NET_ADMIN");
    },
  ]),
  [
    "nobody with CAP_BPF and CAP_PERFMON has D, and gives them up",
    async () => {
      let held = 0n;
      const rows = await look(
        (...c) => nobody("bpf perfmon", ...c),
        (pid) => (held = BigInt(`0x${readFileSync(`/proc/${pid}/status`, "utf8").match(/CapPrm:\s+(\w+)/)[1]}`)),
      );
      if (hasD()) check(held === 0n, `it still holds ${held.toString(16)}`);
      const less = lost(rows);
      check(!less.some((r) => r.startsWith("tcp.")), `lost: ${less}`);
    },
  ],
  [
    "the capabilities of the unit: nothing is lost",
    async () => {
      const rows = await look((...c) => nobody("bpf perfmon net_admin sys_ptrace dac_read_search", ...c));
      check(lost(rows).length === 0, `lost: ${lost(rows)}`);
      check(rows["process.names"].reason === "", `names: ${rows["process.names"].reason}`);
    },
  ],
  [
    "root in a container that withholds everything is not told to use setcap",
    async () => {
      const rows = await look((...c) => ["setpriv", "--inh-caps=-all", "--bounding-set=-all", ...c]);
      if (hasD()) check(rows["tcp.latency"].fixes.some((f) => f.startsWith("root without CAP_BPF and CAP_PERFMON")), `fixes: ${rows["tcp.latency"].fixes}`);
    },
  ],
  [
    "a kernel that does not have the tracepoints, and one that does not describe itself",
    async () => {
      if (!existsSync("/sys/kernel/btf/vmlinux")) return console.log("    skipped: this kernel has no BTF");
      // Types as an old kernel would list them, but for all of its types: one int.
      const btf = Buffer.alloc(24 + 16 + 5);
      btf.writeUInt16LE(0xeb9f, 0);
      btf.writeUInt8(1, 2);
      [24, 0, 16, 16, 5].forEach((v, i) => btf.writeUInt32LE(v, 4 + 4 * i));
      [1, 1 << 24, 4, 32].forEach((v, i) => btf.writeUInt32LE(v, 24 + 4 * i));
      btf.write("\0int\0", 40);
      const old = w.put("old.btf", btf);
      let rows = await look((...c) => mounted(`mount --bind ${old} /sys/kernel/btf/vmlinux`, ...c));
      for (const k of kernel.filter((s) => whole[s]?.ok)) check(!rows[k].ok && /this kernel has no tracepoint/.test(rows[k].reason), `${k}: ${rows[k].reason}`);
      check(lost(rows).every((r) => r.startsWith("tcp.")), `lost too: ${lost(rows)}`);
      rows = await look((...c) => mounted("mount -t tmpfs none /sys/kernel/btf", ...c));
      for (const k of kernel.filter((s) => whole[s]?.ok)) check(!rows[k].ok && /CONFIG_DEBUG_INFO_BTF/.test(rows[k].reason), `${k}: ${rows[k].reason}`);
    },
  ],
  [
    "a /proc that hides other users' processes",
    async () => {
      const rows = await look((...c) => mounted("mount -t proc -o hidepid=invisible proc /proc", ...nobody("", ...c)));
      check(/hidepid/.test(rows["host.processes"].reason), `processes: ${rows["host.processes"].reason}`);
      check(rows["host.processes"].fixes.some((f) => f.includes("cap_sys_ptrace")), `fixes: ${rows["host.processes"].fixes}`);
      check(rows["host.cpu"].ok && rows["tcp.listen"].ok, "more than processes is lost");
    },
  ],
  [
    "no /proc, no /sys, no cgroups: what is left goes on",
    async () => {
      let rows = await look((...c) => mounted("mount -t tmpfs none /sys/fs/cgroup", ...c));
      check(lost(rows).join() === "host.cgroup", `lost: ${lost(rows)}`);
      rows = await look((...c) => mounted("mount -t tmpfs none /sys", ...c));
      check(lost(rows).includes("host.netclass") && rows["host.cpu"].ok, `lost: ${lost(rows)}`);
      rows = await look((...c) => mounted("mount -t tmpfs none /proc", ...c));
      check(lost(rows).includes("host.cpu") && rows["tcp.listen"].ok, `lost: ${lost(rows)}`);
    },
  ],
  [
    "another pid namespace: only deaths of processes are lost",
    async () => {
      const rows = doctor((...c) => ["unshare", "-p", "-f", "--mount-proc", ...c]).rows;
      check(lost(rows).join() === (whole["proc.events"].ok ? "proc.events" : ""), `lost: ${lost(rows)}`);
      if (whole["proc.events"].ok) check(rows["proc.events"].fixes.some((f) => f.includes("--pid=host")), `fixes: ${rows["proc.events"].fixes}`);
    },
  ],
]);
await w.close();
