// SPDX-License-Identifier: Apache-2.0
// From the fault to the webhook received, starter rules and defaults only; then from the recovery to
// `resolved`. Monit at a 1 s cycle and Prometheus + blackbox + Alertmanager tuned to 1 s watch the
// same services at the same time when they are installed.
//
//     sh tests/bench/detect.sh [repeats] [only-fault ...]

import { existsSync } from "node:fs";
import { join } from "node:path";
import { World, bin, fetchText, freePort, now, root, sleep, tree, until } from "../e2e/world.mjs";

const repeats = Number(process.argv[2] ?? 30);
const only = process.argv.slice(3);
const T_MS = 100; // threshold of the probe: slow and hang
const w = new World();
const servicePath = join(root, "tests/e2e/service.mjs");
const has = (p) => existsSync(p);

const alertIs = (path, name, status) => (h) =>
  h.path === path && typeof h.body === "object" && h.body.alerts.some((a) => a.labels.alertname === name && a.status === status);
const monitIs = (name) => (h) => h.path === "/monit" && h.body === name;

let service, servicePort;
async function startService() {
  service = w.spawn("service", process.execPath, [servicePath, String(servicePort)]);
  await until("the service", async () => (await fetchText(`http://127.0.0.1:${servicePort}/`)).status === 200);
}
const ctl = (mode, ms = 300) => fetchText(`http://127.0.0.1:${servicePort}/ctl?mode=${mode}&ms=${ms}`);

async function monit(nginxPort) {
  const n = w.put("monit.sh", `#!/bin/sh\nexec curl -s -d "$MONIT_SERVICE" http://127.0.0.1:${w.hookPort}/monit\n`, 0o755);
  const cfg = w.put(
    "monitrc",
    `set daemon 1
set log ${w.dir}/monit-own.log
set idfile ${w.dir}/monit.id
set statefile ${w.dir}/monit.state
set pidfile ${w.dir}/monit.pid
check host nginx address 127.0.0.1
  if failed port ${nginxPort} type tcp with timeout 1 second then exec "${n}"
check host web address 127.0.0.1
  if failed port ${servicePort} protocol http with timeout 1 second then exec "${n}"
`,
    0o600,
  );
  w.spawn("monit", "/usr/bin/monit", ["-I", "-c", cfg]);
}

async function prometheus(nginxPort) {
  const [pp, ap, bp] = [await freePort(), await freePort(), await freePort()];
  const rules = w.put(
    "prom-rules.yml",
    `groups:
- name: g
  rules:
  - {alert: ServiceCrashed, expr: 'probe_success{instance="nginx"} == 0'}
  - {alert: ProbeFailing, expr: 'probe_success{instance="web"} == 0'}
  - {alert: ProbeSlow, expr: 'probe_duration_seconds{instance="web"} > ${T_MS / 1000}'}
`,
  );
  const bb = w.put(
    "bb.yml",
    `modules:
  web: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}
  tcp: {prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}
`,
  );
  const job = (name, module, target) => `- job_name: ${name}
  metrics_path: /probe
  params: {module: [${module}], target: ["${target}"]}
  static_configs: [{targets: ["127.0.0.1:${bp}"], labels: {instance: ${name}}}]
`;
  const cfg = w.put(
    "prom.yml",
    `global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [${rules}]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:${ap}"]}]}]}
scrape_configs:
${job("nginx", "tcp", `127.0.0.1:${nginxPort}`)}${job("web", "web", `http://127.0.0.1:${servicePort}/`)}`,
  );
  const am = w.put(
    "am.yml",
    `route: {receiver: h, group_by: [alertname, instance], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}
receivers: [{name: h, webhook_configs: [{url: "http://127.0.0.1:${w.hookPort}/prometheus", send_resolved: true}]}]
`,
  );
  w.spawn("alertmanager", "prometheus-alertmanager", [`--config.file=${am}`, `--storage.path=${w.dir}/am`, `--web.listen-address=127.0.0.1:${ap}`, "--cluster.listen-address="]);
  w.spawn("blackbox", "prometheus-blackbox-exporter", [`--config.file=${bb}`, `--web.listen-address=127.0.0.1:${bp}`]);
  w.spawn("prometheus", "prometheus", [`--config.file=${cfg}`, `--storage.tsdb.path=${w.dir}/prom`, `--web.listen-address=127.0.0.1:${pp}`]);
  await until("prometheus", async () => (await fetchText(`http://127.0.0.1:${pp}/-/ready`)).status === 200, 30000);
}

const stats = (v) => {
  if (!v.length) return "      –";
  const s = [...v].sort((a, b) => a - b);
  const f = (x) => (Number.isFinite(x) ? (x / 1000).toFixed(3) : "never").padStart(7);
  return `${f(s[0])} /${f(s[Math.floor(s.length / 2)])} /${f(s[s.length - 1])}`;
};

try {
  await w.collector();
  servicePort = await freePort();
  await startService();
  let nginx = await w.nginx();
  const agentConfig = { config: `probes:\n  - {name: web, http: "http://127.0.0.1:${servicePort}/", slow: ${T_MS}ms}\n` };
  let agent = await w.agent(agentConfig);
  const peers = [];
  if (has("/usr/bin/monit")) {
    await monit(nginx.port);
    peers.push("monit");
  }
  if (has("/usr/bin/prometheus") && has("/usr/bin/prometheus-alertmanager") && has("/usr/bin/prometheus-blackbox-exporter")) {
    await prometheus(nginx.port);
    peers.push("prometheus");
  }
  await sleep(12000); // listeners are settled, peers have their first cycles behind them

  const kill = (pids) => pids.forEach((p) => process.kill(p, "SIGKILL"));
  const faults = {
    "nginx: all processes SIGKILLed": {
      alert: "ServiceCrashed",
      monit: "nginx",
      brk: () => kill(tree(nginx.child.pid)),
      fix: async () => (nginx = await w.nginx({ port: nginx.port })),
    },
    "http probe: 500": { alert: "ProbeFailing", monit: "web", brk: () => ctl("err"), fix: () => ctl("ok") },
    "http probe: refused": { alert: "ProbeFailing", monit: "web", brk: () => kill([service.pid]), fix: startService },
    [`http probe: slow, 300 ms against ${T_MS} ms`]: { alert: "ProbeSlow", brk: () => ctl("slow"), fix: () => ctl("ok") },
    [`http probe: hang against ${T_MS} ms`]: {
      alert: "ProbeSlow",
      monit: "web",
      prom: "ProbeFailing", // a hang of a second is a failed scrape to it
      brk: () => process.kill(service.pid, "SIGSTOP"),
      fix: () => process.kill(service.pid, "SIGCONT"),
    },
    "agent SIGKILLed": { alert: "AgentDown", own: true, brk: () => kill([agent.pid]), fix: async () => (agent = await w.agent(agentConfig)) },
    "agent SIGSTOPped": { alert: "AgentDown", own: true, brk: () => process.kill(agent.pid, "SIGSTOP"), fix: () => process.kill(agent.pid, "SIGCONT") },
  };
  const unexpected = new Map();
  console.log(`seconds, min / median / max of ${repeats}; peers beside: ${peers.join(", ") || "none installed"}`);
  for (const [name, f] of Object.entries(faults)) {
    if (only.length && !only.some((o) => name.includes(o))) continue;
    const fire = [];
    const resolve = [];
    const other = { monit: [], prometheus: [] };
    for (let i = 0; i < repeats; i++) {
      await sleep(Math.random() * 1000);
      const from = now();
      const done = f.brk();
      const watch = [w.hook(alertIs("/tocsin", f.alert, "firing"), from, 15000)];
      if (!f.own && f.monit && peers.includes("monit")) watch.push(w.hook(monitIs(f.monit), from, 15000).then((h) => other.monit.push(h ? h.at - from : Infinity)));
      if (!f.own && peers.includes("prometheus")) {
        const match = (h) => alertIs("/prometheus", f.alert, "firing")(h) || (f.prom && alertIs("/prometheus", f.prom, "firing")(h));
        watch.push(w.hook(match, from, 15000).then((h) => other.prometheus.push(h ? h.at - from : Infinity)));
      }
      const [hook] = await Promise.all(watch);
      await done;
      fire.push(hook ? hook.at - from : Infinity);
      await sleep(300);
      const fixed = now();
      await f.fix();
      const back = await w.hook(alertIs("/tocsin", f.alert, "resolved"), fixed, 15000);
      resolve.push(back ? back.at - fixed : Infinity);
      await sleep(2500); // peers resolve too
      for (const h of w.hooks.filter((x) => x.path === "/tocsin")) for (const a of h.body.alerts) if (a.status === "firing") unexpected.set(a.labels.alertname, (unexpected.get(a.labels.alertname) ?? 0) + 1);
      w.hooks.length = 0;
    }
    console.log(`${name.padEnd(44)} tocsin ${stats(fire)}   resolved ${stats(resolve)}`);
    for (const p of peers) if (other[p].length) console.log(`${"".padEnd(44)} ${p} ${stats(other[p])}`);
  }
  console.log("alerts received by name:", Object.fromEntries(unexpected));
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await w.close();
}
