// SPDX-License-Identifier: Apache-2.0
// ICMP probes in a network namespace of their own, by an agent of no privilege: permitted by the sysctl,
// then not, with a port to fall back to and without; up by both families and by name, never answered, no
// route. What is not permitted is told with its fix, and asks nobody.

import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { World, bin, check, freePort, run, until } from "./world.mjs";

const rooted = process.getuid() === 0;
if (!process.env.ALONE) {
  const r = spawnSync("unshare", [rooted ? "-n" : "-rn", "sh", "-c", 'ip link set lo up && ip route add 198.51.100.0/24 dev lo && ip route add unreachable 203.0.113.0/24 && exec "$0" "$@"', process.execPath, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, ALONE: "1" },
  });
  process.exit(r.status ?? 1);
}

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 15000);
const permit = (range) => writeFileSync("/proc/sys/net/ipv4/ping_group_range", range);
const none = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
const as = rooted ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...none] : ["setpriv", ...none];
const program = join(w.dir, "tocsin-agent");
let file;

/** The agent without any privilege, from a copy that anybody may run. */
async function agent(name, config) {
  const state = join(w.dir, name);
  mkdirSync(state);
  if (rooted) chownSync(state, 65534, 65534);
  file = w.put(`${name}.yaml`, `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${state}\nhost: ${name}\n${config}`);
  chmodSync(file, 0o644);
  const [first, ...rest] = [...as, program, "--config", file];
  const child = w.spawn(name, first, rest);
  await until("its first sample", async () => (await w.query(`up{job="node",instance="${name}"} == 1`)).length > 0).catch((e) => {
    throw new Error(`${e.message}\n${w.log(child)}`);
  });
  return child;
}
const q = (name, target, more = "") => `  - {name: ${name}, icmp: "${target}", every: 250ms, timeout: 1s${more}}\n`;
const doctor = () => {
  const [first, ...rest] = [...as, program, "--config", file, "--doctor"];
  return spawnSync(first, rest, { encoding: "utf8" }).stdout;
};
const open = createServer((s) => s.on("error", () => {}).end());
let first;

await run([
  [
    "echoes come back by IPv4, IPv6 and name; silence and no route are told apart",
    async () => {
      copyFileSync(join(bin, "tocsin-agent"), program);
      chmodSync(program, 0o755);
      chmodSync(w.dir, 0o755);
      permit("0 2147483647");
      await new Promise((r) => open.listen(0, "127.0.0.1", r));
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      let config = "probes:\n" + q("v4", "127.0.0.1") + q("v6", "::1") + q("name", "localhost") + q("silent", "198.51.100.7") + q("noroute", "203.0.113.7") + q("noname", "nowhere.invalid");
      for (let i = 1; i <= 50; i++) config += q(`many${i}`, `127.0.0.${i}`);
      first = await agent("allowed", config);
      for (const name of ["v4", "v6", "name", "many1", "many50"]) await up(name);
      await failed("silent", "timeout");
      await failed("noroute", "unreachable");
      await failed("noname", "resolve");
      await until("the hop limit", async () => (await value('probe_icmp_reply_hop_limit{probe="v4"}')) === 64 && (await value('probe_icmp_reply_hop_limit{probe="v6"}')) === 64);
      const rtt = await value('probe_icmp_duration_seconds{probe="v4",phase="rtt"}');
      check(rtt > 0 && rtt < 0.1, `rtt ${rtt}`);
      check((await value('probe_icmp_duration_seconds{probe="v4",phase="resolve"}')) < 0.1, "resolve");
      for (let i = 1; i <= 50; i++) check((await success(`many${i}`)) === 1, `many${i}`);
      check((await value("max(tocsin_probe_start_lag_seconds_max)")) < 0.5, "starts are late");
      check((await value('tocsin_agent_sampler_available{sampler="probe.icmp"}')) === 1, "available");
      check(!/ping_group_range/.test(doctor()), "the doctor has nothing to say");
    },
  ],
  [
    "not permitted: a named port is connected to instead, others are not asked, and the reason and fix are told",
    async () => {
      first.kill("SIGTERM");
      permit("1 0");
      const child = await agent("denied", "probes:\n" + q("bare", "127.0.0.1") + q("falls", "127.0.0.1", `, port: ${open.address().port}`) + q("refused", "127.0.0.1", `, port: ${await freePort()}`));
      await up("falls");
      await failed("refused", "refused");
      check((await w.query('probe_success{probe="bare"}')).length === 0, "nothing is said of what cannot be asked");
      const reason = (await w.query('tocsin_agent_sampler_available{sampler="probe.icmp",instance="denied"}'))[0];
      check(reason.value[1] === "0" && /ping_group_range/.test(reason.metric.reason), JSON.stringify(reason));
      check(/sampler_unavailable.*probe.icmp/.test(w.log(child)), `it is logged:\n${w.log(child)}`);
      const text = doctor();
      check(/bare +NO .*ping_group_range/.test(text) && /falls .*connects to port \d+ instead/.test(text) && /fix: sysctl -w net.ipv4.ping_group_range/.test(text), text);
    },
  ],
]);
open.close();
await w.close();
