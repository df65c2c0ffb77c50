// SPDX-License-Identifier: Apache-2.0
// Connections too short for any sample are counted to the last one, and so are their bytes, by an agent
// without any privilege; what the kernel's buffer had no room for is counted too.

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { REPLY, REQUEST, answering, many } from "./short.mjs";
import { World, bin, check, freePort, run, until } from "./world.mjs";

// In a network namespace of its own, so that nobody else's connections are lost, refused or counted.
if (process.getuid() === 0 && !process.env.ALONE) {
  const r = spawnSync("unshare", ["-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', process.execPath, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, ALONE: "1" },
  });
  process.exit(r.status ?? 1);
}

const N = 10000;
const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const alone = !!process.env.ALONE;
const servers = [];
let agent;

/** The agent as nobody, from a copy that nobody may read. */
async function agentAsNobody(name, config = "") {
  const program = join(w.dir, "tocsin-agent");
  copyFileSync(join(bin, "tocsin-agent"), program);
  chmodSync(program, 0o755);
  const state = join(w.dir, name);
  mkdirSync(state, { recursive: true });
  const file = w.put(`${name}.yaml`, `collector: http://127.0.0.1:${w.ingestPort}\nstate_dir: ${state}\n${config}`);
  const rooted = process.getuid() === 0;
  if (rooted) chownSync(state, 65534, 65534);
  const as = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
  const [first, ...rest] = [...(rooted ? as : []), program, "--config", file];
  const a = w.spawn(name, first, rest);
  await until("the agent's first sample", async () => (await w.query('up{job="node"} == 1')).length > 0).catch((e) => {
    throw new Error(`${e.message}\n${w.log(a)}`);
  });
  return a;
}

/** A server of its own port that answers by `reply`. */
async function serve(reply) {
  const port = await freePort();
  servers.push(await answering(port, reply));
  return port;
}

const series = async (port) => {
  const of = async (name, more = "") => (await value(`tocsin_service_${name}{port="${port}"${more}}`)) || 0;
  const [opened, fin, reset, unknown, received, sent, lost] = await Promise.all([
    of("connections_opened_total"),
    of("connections_closed_total", ',how="fin"'),
    of("connections_closed_total", ',how="reset"'),
    of("connections_closed_total", ',how="unknown"'),
    of("received_bytes_total"),
    of("sent_bytes_total"),
    value('tocsin_agent_events_lost_total{source="tcp.destroy",netns=""}'),
  ]);
  return { opened, fin, reset, unknown, received, sent, lost };
};
// The kernel's count of connections opened here, less those we know and those whose end we lost (`unknown` are
// both): what it was, whatever was lost in between. After some quiet, since all is of one tick.
async function balance() {
  await new Promise((ok) => setTimeout(ok, 2500));
  return value(
    `node_netstat_Tcp_PassiveOpens - scalar(sum(tocsin_service_connections_opened_total)) - scalar(tocsin_agent_events_lost_total{source="tcp.destroy"})
     + scalar(sum(tocsin_service_connections_closed_total{how="unknown"}) or vector(0))`,
  );
}
const dropped = () => readFileSync("/proc/net/netlink", "utf8").split("\n").some((l) => l.trim().split(/\s+/)[8] > 0);
const known = (port) => until(`port ${port} to be a service`, async () => (await w.query(`tocsin_service_connections{port="${port}",state="established"}`)).length);
// How long sending was held up, in milliseconds: by us, and by the kernel's own tool.
const limited = async (port) => {
  const by = await Promise.all(["receiver_window", "send_buffer", "busy"].map((v) => value(`tocsin_service_send_limited_seconds_total{port="${port}",by="${v}"}`)));
  return by.map((v) => Math.round(v * 1000));
};
function limitedBySs(port) {
  const text = execFileSync("ss", ["-tinHO", `sport = :${port}`]).toString();
  const of = (name) => [...text.matchAll(new RegExp(`${name}:(\\d+)ms`, "g"))].reduce((sum, m) => sum + Number(m[1]), 0);
  const [window, buffer, busy] = [of("rwnd_limited"), of("sndbuf_limited"), of("busy")];
  return [window, buffer, busy - window - buffer];
}
// Until all closes are heard, or what is missing was lost.
const settled = (port, n) =>
  until(`${n} closes`, async () => {
    const s = await series(port);
    return s.fin + s.reset + s.unknown + s.lost >= n && s;
  }, 15000, 300);

await run([
  ...[
    ["client", "the client closes", (s) => s.write(REPLY)],
    ["server", "the server closes", (s) => s.end(REPLY)],
    ["late", "the server closes and the client later", (s) => s.end(REPLY)],
  ].map(([how, what, reply]) => [
    `${N} connections of a millisecond, ${what}: opened, closed and bytes are exact`,
    async () => {
      if (how === "client") {
        await w.collector();
        agent = await agentAsNobody("agent");
      }
      const port = await serve(reply);
      await known(port);
      const took = await many(port, N, how, how === "late" ? 500 : 20);
      const s = await settled(port, N);
      console.log(`    ${Math.round(N / (took / 1000))} a second: ${JSON.stringify(s)}`);
      check(s.fin + s.reset + s.lost === N, "closed and lost together are not all");
      if (s.lost === 0) {
        check(s.opened === N && s.fin === N, "opened or closed");
        check(s.received === N * REQUEST.length, `received ${s.received}, ${N * REQUEST.length} were sent`);
        check(s.sent === N * REPLY.length, `sent ${s.sent}, ${N * REPLY.length} were received`);
      }
      const covered = await value('tocsin_agent_coverage_ratio{netns=""}');
      check(covered > 0.99 || s.lost > 0, `coverage ${covered}`);
    },
  ]),
  [
    "aborts and refused connects are counted, and an abort keeps the bytes that were seen",
    async () => {
      const port = await serve((s) => s.write(REPLY));
      await known(port);
      // These are seen while they live.
      const kept = [];
      for (let i = 0; i < 20; i++) {
        const s = connect(port, "127.0.0.1").on("error", () => {});
        kept.push(s);
        s.write(REQUEST);
      }
      await until("they are seen", async () => (await value(`tocsin_service_received_bytes_total{port="${port}"}`)) === 20 * REQUEST.length);
      await until("their replies too", async () => (await value(`tocsin_service_sent_bytes_total{port="${port}"}`)) === 20 * REPLY.length);
      kept.forEach((s) => s.resetAndDestroy());
      await settled(port, 20);
      await many(port, 500, "reset");
      const s = await settled(port, 520);
      console.log(`    ${JSON.stringify(s)}`);
      check(s.lost > 0 || (s.opened === 520 && s.reset === 520 && s.fin === 0), "500 aborts and 20 more");
      check(s.received >= 20 * REQUEST.length && s.sent >= 20 * REPLY.length, "what was seen stays");

      const failed = () => value('tocsin_connects_failed_total{error="refused",netns=""}');
      const closed = await freePort();
      const before = await failed();
      for (let i = 0; i < 100; i++) await new Promise((ok) => connect(closed, "127.0.0.1").on("error", ok));
      await until("100 refused connects", async () => (await failed()) >= before + 100, 5000);
      check(!alone || (await failed()) === before + 100, "nobody else is refused here");
    },
  ],
  [
    "how long clients that do not read held a service up is the kernel's own count, and an end or an abort keeps it",
    async () => {
      const port = await freePort();
      const server = createServer((s) => s.on("error", () => {}).resume().write(Buffer.alloc(32 << 20)));
      servers.push(await new Promise((ok) => server.listen(port, "127.0.0.1", () => ok(server))));
      await known(port);
      const slow = [0, 1].map(() => connect(port, "127.0.0.1").on("error", () => {})); // nobody reads
      await until("two seconds of it", async () => (await limited(port))[0] >= 2000, 15000);
      const low = await limited(port);
      const truth = limitedBySs(port);
      check(low[0] <= truth[0] && low[0] > truth[0] - 10000, `${low}, ss said later ${truth}`);
      check(truth[0] > 10 * truth[2], `the clients did hold it up: ${truth}`);
      for (const s of slow) s.resume();
      const same = (a, b) => a.every((v, i) => Math.abs(v - b[i]) <= 2 * slow.length); // whole milliseconds
      const idle = await until("what ss says once all is read", async () => {
        const [kernel, ours] = [limitedBySs(port), await limited(port)];
        return same(ours, kernel) && same(kernel, limitedBySs(port)) && ours;
      }, 15000, 300);
      console.log(`    receiver, buffer, busy in ms: ${idle}; ss ${limitedBySs(port)}`);
      slow[0].resetAndDestroy();
      slow[1].end();
      await settled(port, 2);
      const after = await limited(port);
      check(after.every((v, i) => v >= idle[i] && v <= idle[i] + 100), `${idle} before, ${after} after`);
    },
  ],
  [
    "what the buffer had no room for while the agent stood still is counted to the last one",
    async () => {
      const port = await serve((s) => s.write(REPLY));
      await known(port);
      const before = await balance();
      let n = 0;
      agent.kill("SIGSTOP");
      // Until the kernel's own column Drops says that a socket has overflowed.
      do n += N / 2;
      while ((await many(port, N / 2, "client")) && n < 8 * N && !dropped());
      agent.kill("SIGCONT");
      const s = await settled(port, n);
      const covered = await value('tocsin_agent_coverage_ratio{netns=""}');
      console.log(`    of ${n}: ${JSON.stringify(s)}, coverage ${covered}, balance ${before} and ${await balance()}`);
      check(s.lost > 0, `of ${n} closes none was lost`);
      check(s.fin + s.reset + s.lost >= n, "closed and lost together are not all");
      if (alone) await until("the balance is what it was", async () => (await balance()) === before, 20000);
      check(covered < 1, "coverage says so");
    },
  ],
  [
    "more connections than the limit are only sampled, and told one by one again when it is calm",
    async () => {
      agent.kill("SIGTERM");
      await agent.gone;
      agent = await agentAsNobody("limited", "connections: {closes_per_second: 300}\n");
      const told = (n) => until(`to be told of closes: ${n}`, async () => (await value('tocsin_agent_events_subscribed{netns=""}')) === n, 40000, 300);
      await told(1);
      const port = await serve((s) => s.write(REPLY));
      await known(port);
      let on = true;
      const load = (async () => {
        while (on) await many(port, 1000, "client");
      })();
      await told(0).finally(() => (on = false));
      await load;
      check(/closes_sampled/.test(w.log(agent)), "the log says so");
      const before = await series(port);
      await many(port, 200, "client");
      await told(1);
      check(/closes_told/.test(w.log(agent)), "the log says so");
      check((await series(port)).opened < before.opened + 200, "meanwhile short ones were missed");
      const after = await series(port);
      await many(port, 100, "client");
      await until("100 more", async () => (await series(port)).fin === after.fin + 100);
    },
  ],
]);
for (const s of servers) s.close();
await w.close();
