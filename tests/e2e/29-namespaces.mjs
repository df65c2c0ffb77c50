// SPDX-License-Identifier: Apache-2.0
// Another network namespace, looked into by an agent of nobody's that was started through
// tocsin-agent-netns: short connections are exact there too, drops belong to the listener that
// overflowed and are the kernel's own count, and what ends has ended.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { REPLY, REQUEST } from "./short.mjs";
import { World, bin, check, run, until } from "./world.mjs";

if (process.getuid() !== 0) {
  console.log("skipped: only root can make a network namespace");
  process.exit(0);
}

const N = 10000;
const short = new URL("short.mjs", import.meta.url).pathname;
const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const inside = []; // processes in a namespace

/** A network namespace with a process in it that keeps it. */
async function namespace() {
  const keeper = spawn("unshare", ["-n", "sh", "-c", "ip link set lo up && echo ready && exec cat >/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  inside.push(keeper);
  await new Promise((ok) => createInterface(keeper.stdout).once("line", ok));
  const net = `/proc/${keeper.pid}/ns/net`;
  return { keeper, net, label: String(statSync(net).ino) };
}

function node(ns, ...args) {
  const child = spawn("nsenter", [`--net=${ns.net}`, process.execPath, short, ...args.map(String)], { stdio: ["pipe", "pipe", "inherit"] });
  inside.push(child);
  child.lines = createInterface(child.stdout);
  child.line = () => new Promise((ok) => child.lines.once("line", ok));
  return child;
}

async function serve(ns, port, backlog) {
  const server = node(ns, "serve", port, ...(backlog ? [backlog] : []));
  check((await server.line()) === "ready", "the server listens");
  await until(`port ${port} of another namespace`, async () => (await w.query(`tocsin_service_connections{port="${port}",netns="${ns.label}",state="established"}`)).length, 20000);
  return server;
}

/** The kernel's counters of TcpExt in there. */
function tcpExt(ns) {
  const text = execFileSync("nsenter", [`--net=${ns.net}`, "cat", "/proc/net/netstat"]).toString();
  const [names, values] = text.split("\n").filter((l) => l.startsWith("TcpExt:")).map((l) => l.split(" "));
  return Object.fromEntries(names.map((name, i) => [name, Number(values[i])]));
}

const end = async (child) => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((ok) => child.once("exit", ok));
  child.stdin.end();
  child.kill("SIGCONT");
  await Promise.race([gone, new Promise((ok) => setTimeout(ok, 2000))]);
  child.kill("SIGKILL");
};

let one;
let agent;
await run([
  [
    `${N} connections of a millisecond in another namespace: opened, closed and bytes are exact`,
    async () => {
      await w.collector();
      for (const p of ["tocsin-agent", "tocsin-agent-netns"]) {
        copyFileSync(join(bin, p), join(w.dir, p));
        chmodSync(join(w.dir, p), 0o755);
      }
      const state = join(w.dir, "agent");
      mkdirSync(state);
      chownSync(state, 65534, 65534);
      const config = w.put("agent.yaml", `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${state}\n`);
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
      agent = w.spawn("agent", join(w.dir, "tocsin-agent-netns"), [...nobody, join(w.dir, "tocsin-agent"), "--config", config]);
      await until("the agent's first sample", async () => (await w.query('up{job="node"} == 1')).length > 0);
      const status = execFileSync("cat", [`/proc/${agent.pid}/status`]).toString();
      check(/^Uid:\s+65534/m.test(status) && /^CapEff:\s+0+$/m.test(status), "the agent itself may nothing");

      one = await namespace();
      const port = 18080;
      one.server = await serve(one, port);
      const load = node(one, "load", port, N, "client");
      const took = Number(await load.line());
      const of = async (name, more = "") => (await value(`tocsin_service_${name}{port="${port}",netns="${one.label}"${more}}`)) || 0;
      const lost = () => value(`tocsin_agent_events_lost_total{netns="${one.label}"}`);
      const closed = () => of("connections_closed_total", ',how="fin"');
      await until(`${N} closes`, async () => (await closed()) + (await lost()) >= N, 20000, 300);
      const s = { opened: await of("connections_opened_total"), closed: await closed(), received: await of("received_bytes_total"), sent: await of("sent_bytes_total"), lost: await lost() };
      console.log(`    ${Math.round(N / (took / 1000))} a second: ${JSON.stringify(s)}`);
      check(s.closed + s.lost === N, "closed and lost are not all");
      check(s.lost > 0 || (s.opened === N && s.received === N * REQUEST.length && s.sent === N * REPLY.length), "opened or bytes");
      const covered = await value(`tocsin_agent_coverage_ratio{netns="${one.label}"}`);
      check(s.lost > 0 || covered === 1, `coverage ${covered}`);
      check((await value('tocsin_agent_network_namespaces{state="watched"}')) >= 1, "it is counted");
    },
  ],
  [
    "drops belong to the listener that overflows, and are the kernel's count",
    async () => {
      const full = await serve(one, 18081, 8);
      await serve(one, 18082, 8);
      const drops = (port) => value(`tocsin_service_listen_drops_total{port="${port}",netns="${one.label}"}`);
      await until("both are counted at nothing", async () => (await drops(18081)) === 0 && (await drops(18082)) === 0);
      const before = tcpExt(one);
      // The one nsenter became: it accepts no more, and clients come to both, to the other no more than may wait.
      full.kill("SIGSTOP");
      const crowds = [[18081, 60], [18082, 8]].map(([port, n]) => node(one, "crowd", port, n, 8));
      await until("its queue is full", async () => (await value(`tocsin_service_accept_queue_length{port="18081",netns="${one.label}"}`)) === 9, 10000);
      await Promise.all(crowds.map((c) => new Promise((ok) => c.once("exit", ok))));
      const grown = () => {
        const t = tcpExt(one);
        return { overflows: t.ListenOverflows - before.ListenOverflows, drops: t.ListenDrops - before.ListenDrops };
      };
      await until("the drops are told", async () => (await drops(18081)) === grown().drops, 15000, 300).catch(async (e) => {
        throw new Error(`${e.message}: ${await drops(18081)} and ${await drops(18082)} of ${JSON.stringify(grown())}`);
      });
      const g = grown();
      console.log(`    the kernel: ${g.overflows} overflows, ${g.drops} drops; port 18081: ${await drops(18081)}, port 18082: ${await drops(18082)}`);
      check(g.overflows > 0 && g.overflows === g.drops, "all drops are overflows");
      check((await drops(18082)) === 0, "the other one dropped nothing");
      await end(full);
    },
  ],
  [
    "a namespace without a process has ended, and its series",
    async () => {
      // Another one may have its number as soon as it is gone: these are its services. The alert that one of
      // them dropped connections fires a little longer.
      const mine = `{__name__=~"tocsin_service_.*",netns="${one.label}",port=~"1808[012]"}`;
      check((await w.query(`count(${mine})`))[0], "there are series of it");
      for (const c of inside) await end(c);
      await until("its series to end", async () => (await w.query(`count(${mine})`)).length === 0, 40000, 500).catch(async (e) => {
        throw new Error(`${e.message}: ${JSON.stringify(await w.query(mine))}\n${w.log(agent)}`);
      });

    },
  ],
  [
    "--doctor says what is missing, and what to do",
    async () => {
      const doctor = (...command) => spawnSync(command[0], [...command.slice(1), "--doctor", "--config", "/dev/null"]).stdout.toString();
      check(/the agent's own only: not started through tocsin-agent-netns\n.*fix: /.test(doctor(join(bin, "tocsin-agent"))), "alone");
      check(/others +ok +\d+, looked for/.test(doctor(join(bin, "tocsin-agent-netns"), join(bin, "tocsin-agent"))), "with it");
      const weak = doctor("setpriv", "--bounding-set=-sys_admin", "--", join(bin, "tocsin-agent-netns"), join(bin, "tocsin-agent"));
      check(/the agent's own only: tocsin-agent-netns has not CAP_SYS_ADMIN/.test(weak), weak);
    },
  ],
]);
for (const c of inside) c.kill("SIGKILL");
await w.close();
