// SPDX-License-Identifier: Apache-2.0
// StatsD lines, one and twenty to a datagram, 500 series: user and system CPU of the receiver per line that
// arrived, less what it uses when nothing comes. Beside collectd, which is sent the lines without tags.

import { createSocket } from "node:dgram";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { World, cpuSeconds, freePort, sleep, until } from "../e2e/world.mjs";

const lines = Number(process.argv[2] ?? 200000);
const w = new World();
const socket = createSocket("udp4");
const send = (text, port) => new Promise((resolve, reject) => socket.send(text, port, "127.0.0.1", (e) => (e ? reject(e) : resolve())));
const kinds = [(n, tags) => `bench.orders${tags ? "" : `.${n}`}:1|c`, (n, tags) => `bench.open${tags ? "" : `.${n}`}:${n}|g`, (n, tags) => `bench.wait${tags ? "" : `.${n}`}:${n}|ms`];
function line(i, tags) {
  const n = Math.floor(i / 3) % 167;
  return kinds[i % 3](n, tags) + (tags ? `|#n:${n},kind:web` : "");
}
const dropped = (port) => {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const row = readFileSync("/proc/net/udp", "utf8").split("\n").find((l) => l.includes(`0100007F:${hex} `));
  return Number(row.trim().split(/\s+/).at(-1));
};

async function measure(name, pid, port, tags) {
  await sleep(1000);
  let cpu = cpuSeconds(pid);
  await sleep(4000);
  const idle = (cpuSeconds(pid) - cpu) / 4;
  for (const each of [1, 20]) {
    const at = performance.now();
    const drops = dropped(port);
    cpu = cpuSeconds(pid);
    for (let i = 0; i < lines; i += each) {
      await send(Array.from({ length: each }, (_, k) => line(i + k, tags)).join("\n"), port);
      if (i % (each * 128) === 0) await sleep(2); // what is dropped is no measure
    }
    await sleep(2500);
    const taken = lines - (dropped(port) - drops) * each;
    const used = cpuSeconds(pid) - cpu - (idle * (performance.now() - at)) / 1000;
    console.log(`${name.padEnd(22)} ${String(each).padStart(2)} a datagram: ${((used / taken) * 1e9).toFixed(0).padStart(5)} ns a line, ${taken} of ${lines} arrived`);
  }
}

const port = await freePort();
await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
const agent = await w.agent({ config: `statsd: {listen: "127.0.0.1:${port}"}\n` });
await until("statsd", async () => (await w.query("tocsin_agent_statsd_listening == 1")).length > 0);
await measure("tocsin-agent", agent.pid, port, false);
await measure("tocsin-agent, tagged", agent.pid, port, true);

if (existsSync("/usr/sbin/collectd")) {
  const peer = await freePort();
  const dir = join(w.dir, "collectd");
  mkdirSync(dir);
  w.put("collectd.conf", `Hostname "x"\nFQDNLookup false\nBaseDir "${dir}"\nPIDFile "${dir}/pid"\nTypesDB "/usr/share/collectd/types.db"\nInterval 1\nLoadPlugin statsd\n<Plugin statsd>\n  Host "127.0.0.1"\n  Port "${peer}"\n</Plugin>\n`);
  const child = w.spawn("collectd", "/usr/sbin/collectd", ["-f", "-C", join(w.dir, "collectd.conf")]);
  await until("collectd", () => dropped(peer) >= 0);
  await measure("collectd", child.pid, peer, false);
}
socket.close();
await w.close();
