// SPDX-License-Identifier: Apache-2.0
// The peers of cost.mjs, each at one second and with what comes nearest to the agent's default set.
// A peer that is not installed is left out, and said.

import { connect } from "node:net";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fetchText, freePort, until } from "../e2e/world.mjs";

const lines = (text) => text.split("\n").filter((l) => l && l[0] !== "#").length;

async function nodeExporter(w, title, extra) {
  const port = await freePort();
  const c = w.spawn(title, "prometheus-node-exporter", [`--web.listen-address=127.0.0.1:${port}`, ...extra]);
  await until(title, async () => (await fetchText(`http://127.0.0.1:${port}/metrics`)).status === 200);
  c.timer = setInterval(async () => {
    const r = await fetchText(`http://127.0.0.1:${port}/metrics`).catch(() => null);
    if (r) c.values = lines(r.text);
  }, 1000);
  return c;
}

async function netdata(w) {
  const port = await freePort();
  for (const d of ["cache", "lib", "log", "etc"]) w.put(`nd/${d}/.keep`, "");
  const off = ["timex", "tc", "idlejitter", "cgroups", "checks", "apps", "charts.d", "fping", "node.d", "python.d", "go.d", "ioping", "slabinfo", "diskspace"];
  const cfg = w.put(
    "nd/netdata.conf",
    `[global]
 run as user = root
[db]
 mode = ram
 retention = 300
[directories]
 config = ${w.dir}/nd/etc
 log = ${w.dir}/nd/log
 cache = ${w.dir}/nd/cache
 lib = ${w.dir}/nd/lib
[web]
 default port = ${port}
 bind to = 127.0.0.1
[health]
 enabled = no
[ml]
 enabled = no
[statsd]
 enabled = no
[plugins]
${off.map((p) => ` ${p} = no`).join("\n")}
`,
  );
  const c = w.spawn("netdata minimal", "netdata", ["-D", "-c", cfg, "-P", `${w.dir}/nd/pid`]);
  await until("netdata", async () => {
    const charts = JSON.parse((await fetchText(`http://127.0.0.1:${port}/api/v1/charts`)).text).charts;
    c.values = Object.values(charts).reduce((n, chart) => n + Object.keys(chart.dimensions).length, 0);
    return c.values > 100;
  }, 20000, 500);
  return c;
}

async function collectd(w, sockets) {
  const plugins = ["cpu", "memory", "disk", "df", "interface", "load", "processes", "protocols", "swap", "vmem", "contextswitch", "entropy", "uptime", "irq", "unixsock", ...(sockets ? ["tcpconns"] : [])];
  const title = sockets ? "collectd + tcpconns" : "collectd";
  const socket = join(w.dir, `collectd-${sockets ? 1 : 0}.sock`);
  const cfg = w.put(
    `collectd-${sockets ? 1 : 0}.conf`,
    `Hostname "peer"
BaseDir "${w.dir}"
PIDFile "${w.dir}/collectd-${sockets ? 1 : 0}.pid"
Interval 1
${plugins.map((p) => `LoadPlugin ${p}`).join("\n")}
<Plugin unixsock>
  SocketFile "${socket}"
</Plugin>
${sockets ? "<Plugin tcpconns>\n  ListeningPorts true\n</Plugin>\n" : ""}`,
  );
  const c = w.spawn(title, "collectd", ["-f", "-C", cfg]);
  await until(title, () => existsSync(socket));
  c.timer = setInterval(() => {
    const s = connect(socket).on("error", () => {});
    let text = "";
    s.on("data", (d) => {
      text += d;
      if (Number.parseInt(text, 10) < text.split("\n").length - 1) s.destroy();
      c.values = Number.parseInt(text, 10) || c.values; // lists, most of one to four values
    });
    s.write("LISTVAL\n");
  }, 10000);
  return c;
}

const ZABBIX = [
  ...["user", "system", "iowait", "idle", "nice", "steal", "softirq"].map((k) => `system.cpu.util[,${k}]`),
  ...["total", "available", "free", "cached", "buffers"].map((k) => `vm.memory.size[${k}]`),
  ...["avg1", "avg5", "avg15"].map((k) => `system.cpu.load[,${k}]`),
  ...["bytes", "packets", "errors", "dropped"].flatMap((k) => [`net.if.in[lo,${k}]`, `net.if.out[lo,${k}]`]),
  ...["total", "free", "used", "pused"].flatMap((k) => [`vfs.fs.size[/,${k}]`, `vfs.fs.inode[/,${k}]`]),
  ...["free", "total", "used"].map((k) => `system.swap.size[,${k}]`),
  "system.uptime",
  "system.cpu.switches",
  "system.cpu.intr",
  "kernel.maxfiles",
  "proc.num[]",
  "proc.num[,,run]",
  "vfs.dev.read[,ops]",
  "vfs.dev.write[,ops]",
];

async function zabbix(w) {
  const port = await freePort();
  const cfg = w.put(
    "zabbix.conf",
    `PidFile=${w.dir}/zabbix.pid
LogType=console
Server=127.0.0.1
ListenIP=127.0.0.1
ListenPort=${port}
StartAgents=1
AllowRoot=1
`,
  );
  const c = w.spawn("zabbix agent", "zabbix_agentd", ["-f", "-c", cfg]);
  const ask = (key) =>
    new Promise((ok, no) => {
      const s = connect(port, "127.0.0.1").on("error", no);
      s.on("data", () => {}).on("end", ok);
      s.write(`${key}\n`);
    });
  await until("zabbix agent", () => ask("agent.ping").then(() => true));
  c.values = ZABBIX.length;
  c.whole = true; // its work is in children
  c.timer = setInterval(() => ZABBIX.forEach((k) => ask(k).catch(() => {})), 1000);
  return c;
}

/** Those that are installed; `values` of each is what it has a second, `timer` to be cleared. */
export async function peers(w) {
  const list = [
    ["/usr/bin/prometheus-node-exporter", () => nodeExporter(w, "node_exporter", [])],
    ["/usr/bin/prometheus-node-exporter", () => nodeExporter(w, "node_exporter + tcpstat", ["--collector.tcpstat"])],
    ["/usr/sbin/netdata", () => netdata(w)],
    ["/usr/sbin/collectd", () => collectd(w, false)],
    ["/usr/sbin/collectd", () => collectd(w, true)],
    ["/usr/sbin/zabbix_agentd", () => zabbix(w)],
  ];
  const ret = [];
  for (const [path, start] of list) {
    if (existsSync(path)) ret.push(await start());
    else console.log(`  (${path} is not installed)`);
  }
  return ret;
}
