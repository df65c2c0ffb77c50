// SPDX-License-Identifier: Apache-2.0
// What a drill stands on: Tocsin fed by simulated agents, and Prometheus + Alertmanager that scrape
// the same values from a page. Each has a World of its own.

import { existsSync } from "node:fs";
import { createServer as httpServer } from "node:http";
import { createServer as netServer } from "node:net";
import { createInterface } from "node:readline";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { World, bin, fetchText, freePort, now, root, sleep, until } from "../e2e/world.mjs";

export const installed = existsSync("/usr/bin/prometheus") && existsSync("/usr/bin/prometheus-alertmanager");

/** A simulated agent (feed.c). */
export class Feed {
  constructor(port, host, number) {
    this.child = spawn(join(bin, "drills/feed"), [String(port), host, String(number)], { stdio: ["pipe", "pipe", "inherit"] });
    this.child.stdin.on("error", () => {});
    this.taken = [];
    createInterface({ input: this.child.stdout }).on("line", () => this.taken.shift()?.());
  }
  tell(line) {
    this.child.stdin.write(`${line}\n`);
  }
  /** Values by series; sent at once. The promise is kept when the collector has them. */
  send(values = {}) {
    const lines = Object.entries(values).map(([k, v]) => `set ${k} ${v}`);
    return new Promise((r) => {
      this.taken.push(r);
      this.tell([...lines, "send"].join("\n"));
    });
  }
  fill(name, label, from, to, v) {
    this.tell(`fill ${name} ${label} ${from} ${to} ${v}`);
  }
  end() {
    this.child.stdin.end();
  }
}

const body = (h) => (typeof h.body === "object" ? h.body : { alerts: [] });
export const says = (name, status) => (h) => body(h).alerts.some((a) => a.labels.alertname === name && (!status || a.status === status));
/** Alerts of all messages since then that are of this name. */
export const told = (w, name, since = 0) => w.hooks.filter((h) => h.at >= since).flatMap((h) => body(h).alerts).filter((a) => a.labels.alertname === name);
export const messages = (w, name, since = 0) => w.hooks.filter((h) => h.at >= since && says(name)(h)).length;
export const seconds = (ms) => (ms === undefined || !Number.isFinite(ms) ? "never" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);
export const quantile = (v, q) => [...v].sort((a, b) => a - b)[Math.min(v.length - 1, Math.ceil(v.length * q) - 1)];

/** rules: {name: expr | {expr, for, labels, interval}}; arrival: judged as samples arrive. */
export function ruleFile(rules, { interval = "1s", arrival = false } = {}) {
  const list = Object.entries(rules).map(([name, r]) => {
    const rule = typeof r === "string" ? { expr: r } : r;
    return `      - {alert: ${name}, expr: '${rule.expr}'${rule.for ? `, for: ${rule.for}` : ""}${rule.labels ? `, labels: ${JSON.stringify(rule.labels)}` : ""}}\n`;
  });
  const groups = `groups:\n  - name: drill\n    interval: ${interval}\n    rules:\n${list.join("")}`;
  const overrides = `overrides:\n${Object.keys(rules).map((n) => `  - {rule: drill/${n}, set: {evaluate: arrival}}\n`).join("")}`;
  return arrival ? { groups, overrides } : { groups };
}

export class Ours extends World {
  constructor() {
    super();
    this.feeds = [];
  }
  /** Config of the route is for all but {port}, the webhook's. */
  async start({ rules, arrival = true, interval, route, extra, env }) {
    const text = ruleFile(rules, { arrival, interval });
    this.files = [this.put("rules.yaml", text.groups)];
    if (text.overrides) this.files.push(this.put("overrides.yaml", text.overrides));
    this.options = { rules: this.files, extra, env };
    const port = await this.receiver();
    if (route) this.options.route = route.replaceAll("{port}", port);
    return this.again();
  }
  async again() {
    return (this.process = await this.collector(this.options));
  }
  async crash() {
    this.process.kill("SIGKILL");
    await this.process.gone;
  }
  feed(host = "host", number = this.feeds.length + 1) {
    const f = new Feed(this.ingestPort, host, number);
    this.feeds.push(f);
    return f;
  }
  async alerts(name) {
    const all = JSON.parse((await fetchText(`${this.url}/api/v1/alerts`)).text).data.alerts;
    return all.filter((a) => a.labels.alertname === name);
  }
  async close() {
    for (const f of this.feeds) f.end();
    await super.close();
  }
}

export class Peers extends World {
  constructor() {
    super();
    this.values = {};
    this.failing = 0; // scrapes to answer with a 500
  }
  async page() {
    const server = httpServer((q, r) => {
      if (this.failing > 0) {
        this.failing--;
        return r.writeHead(500).end();
      }
      r.writeHead(200, { "content-type": "text/plain" }).end(Object.entries(this.values).map(([k, v]) => `${k} ${v}\n`).join(""));
    });
    await new Promise((r) => server.listen(0, "127.0.0.1", r));
    this.pageServer = server;
    return server.address().port;
  }
  async alertmanager(route, { wait = true } = {}) {
    const port = await this.receiver();
    this.amPort ??= await freePort();
    const config = this.put("am.yml", route.replaceAll("{port}", port));
    this.am = this.spawn("alertmanager", "prometheus-alertmanager", [`--config.file=${config}`, `--storage.path=${this.dir}/am`, `--web.listen-address=127.0.0.1:${this.amPort}`, "--cluster.listen-address="]);
    if (wait) await until("alertmanager", async () => (await fetchText(`http://127.0.0.1:${this.amPort}/-/ready`)).status === 200, 20000);
  }
  post(alerts) {
    return fetchText(`http://127.0.0.1:${this.amPort}/api/v2/alerts`, { method: "POST", body: JSON.stringify(alerts), headers: { "content-type": "application/json" }, timeout: 60000 });
  }
  async prometheus({ rules, every = "500ms", scrape = "", managers }) {
    this.promPort ??= await freePort();
    this.pagePort ??= await this.page();
    const file = this.put("prom-rules.yml", ruleFile(rules, { interval: every }).groups);
    const to = (managers ?? [this.amPort]).filter(Boolean).map((p) => `"127.0.0.1:${p}"`);
    const config = this.put(
      "prom.yml",
      `global: {scrape_interval: ${every}, scrape_timeout: ${every}, evaluation_interval: ${every}}
rule_files: [${file}]
alerting: {alertmanagers: [${to.map((t) => `{static_configs: [{targets: [${t}]}]}`).join(", ")}]}
scrape_configs: [{job_name: page, ${scrape} static_configs: [{targets: ["127.0.0.1:${this.pagePort}"]}]}]
`,
    );
    this.prom = this.spawn("prometheus", "prometheus", [`--config.file=${config}`, `--storage.tsdb.path=${this.dir}/prom`, `--web.listen-address=127.0.0.1:${this.promPort}`]);
    await until("prometheus", async () => (await fetchText(`http://127.0.0.1:${this.promPort}/-/ready`)).status === 200, 30000);
  }
  async api(path) {
    return JSON.parse((await fetchText(`http://127.0.0.1:${this.promPort}/api/v1/${path}`)).text).data;
  }
  async scraped() {
    await until("a scrape", async () => (await this.api("query?query=up")).result.some((r) => r.value[1] === "1"), 15000);
  }
  async close() {
    this.pageServer?.closeAllConnections();
    this.pageServer?.close();
    await super.close();
  }
}

/** Accepts and never answers. */
export async function hungServer() {
  const sockets = new Set();
  const server = netServer((s) => {
    sockets.add(s);
    s.on("error", () => {}).on("close", () => sockets.delete(s)).resume();
  });
  await new Promise((r) => server.listen(0, "127.0.0.1", r));
  return {
    port: server.address().port,
    close: () => {
      for (const s of sockets) s.destroy();
      server.close();
    },
  };
}

export { now, root, sleep, until, freePort, fetchText };
