// SPDX-License-Identifier: Apache-2.0
// A small world on loopback for end-to-end tests and benches: collector, agent, a webhook receiver,
// services to break. Every port is free, everything lives in one temporary folder, and close() ends
// what was started, by pid.

import { execFileSync, spawn } from "node:child_process";
import { createServer as httpServer, get as httpGet, request as httpRequest } from "node:http";
import { createServer as netServer } from "node:net";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const root = new URL("../../", import.meta.url).pathname;
export const bin = process.env.BIN ?? join(root, process.env.B ?? "build/none");
export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
export const now = () => performance.now();

/** A free port below the ephemeral range: there the agent expects services, not passing listeners. */
const given = new Set();
export async function freePort() {
  for (;;) {
    const port = 15000 + Math.floor(Math.random() * 17000);
    const free = await new Promise((resolve) => {
      const s = netServer();
      s.once("error", () => resolve(false));
      s.listen(port, "127.0.0.1", () => s.close(() => resolve(true)));
    });
    if (!free || given.has(port)) continue;
    given.add(port);
    return port;
  }
}

/** Polls until fn gives something true; throws with `what` after timeoutMs. */
export async function until(what, fn, timeoutMs = 10000, everyMs = 20) {
  const end = now() + timeoutMs;
  for (;;) {
    let v;
    try {
      v = await fn();
    } catch {
      v = undefined;
    }
    if (v) return v;
    if (now() > end) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`);
    await sleep(everyMs);
  }
}

export function fetchText(url, { method = "GET", body, headers = {}, timeout = 5000 } = {}) {
  return new Promise((resolve, reject) => {
    const q = httpRequest(url, { method, headers, timeout, agent: false }, (r) => {
      let text = "";
      r.setEncoding("utf8");
      r.on("data", (d) => (text += d));
      r.on("end", () => resolve({ status: r.statusCode, text, headers: r.headers }));
    });
    q.on("timeout", () => q.destroy(new Error(`${url}: no answer in ${timeout} ms`)));
    q.on("error", reject);
    q.end(body);
  });
}

export class World {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "tocsin-e2e-"));
    chmodSync(this.dir, 0o755); // workers of nginx are nobody
    this.children = new Set();
    this.hooks = []; // {at (performance.now), path, body}
    this.waiting = [];
    this.receiverDelay = 0; // ms it takes to answer
    this.receiverStatus = 200; // what the receiver answers; 0 = drop the connection
  }

  put(name, text, mode) {
    const path = join(this.dir, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text, mode ? { mode } : undefined);
    return path;
  }

  /** Output goes to dir/name.log. */
  spawn(name, command, args, options = {}) {
    const log = join(this.dir, `${name}.log`);
    const child = spawn("sh", ["-c", 'exec "$0" "$@" >>"$LOG" 2>&1', command, ...args], {
      stdio: ["ignore", "ignore", "ignore"],
      ...options,
      env: { ...process.env, LOG: log, ...options.env },
    });
    child.logFile = log;
    child.title = name;
    child.gone = new Promise((r) => child.once("exit", (code, signal) => r({ code, signal })));
    this.children.add(child);
    child.gone.then(() => this.children.delete(child));
    return child;
  }

  log(child) {
    return existsSync(child.logFile) ? readFileSync(child.logFile, "utf8") : "";
  }

  async receiver() {
    if (this.hookPort) return this.hookPort;
    const server = httpServer((q, r) => {
      const at = now();
      const chunks = [];
      q.on("data", (d) => chunks.push(d));
      q.on("end", async () => {
        if (this.receiverDelay) await sleep(this.receiverDelay);
        if (!this.receiverStatus) return q.socket.destroy();
        r.writeHead(this.receiverStatus).end();
        if (this.receiverStatus !== 200) return;
        const text = Buffer.concat(chunks).toString();
        let body = text;
        try {
          body = JSON.parse(text);
        } catch {
          // a peer that sends plain text
        }
        const hook = { at, path: q.url, body, headers: q.headers };
        this.hooks.push(hook);
        for (const w of [...this.waiting]) w(hook);
      });
    });
    server.keepAliveTimeout = 60000;
    await new Promise((r) => server.listen(0, "127.0.0.1", r));
    this.receiverServer = server;
    return (this.hookPort = server.address().port);
  }

  /**
   * Alerts received since then. The agent sees all of the machine, so what other programs on it do to
   * their listeners is left out: only ports this world has given out count.
   */
  pages(since) {
    return this.hooks
      .filter((h) => h.at >= since && h.path === "/tocsin")
      .flatMap((h) => h.body.alerts)
      .filter((a) => !a.labels.service || given.has(Number(a.labels.port)))
      .map((a) => `${a.status} ${a.labels.alertname} ${a.labels.service ?? ""} ${a.startsAt}`);
  }

  /** The states of an alert that the receiver heard, in order, without what a group only repeats. */
  heard(name) {
    const way = [];
    for (const h of this.hooks)
      for (const a of h.body.alerts) {
        const step = `${a.status} ${a.startsAt}`;
        if (a.labels.alertname === name && !way.includes(step)) way.push(step);
      }
    return way.map((x) => x.split(" ")[0]).join(" ");
  }

  /** First webhook at or after `since` that matches; null after timeoutMs. */
  hook(match, since, timeoutMs) {
    const found = this.hooks.find((h) => h.at >= since && match(h));
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      const done = (v) => {
        this.waiting.splice(this.waiting.indexOf(check), 1);
        clearTimeout(timer);
        resolve(v);
      };
      const check = (h) => h.at >= since && match(h) && done(h);
      const timer = setTimeout(() => done(null), timeoutMs);
      this.waiting.push(check);
    });
  }

  async collector({ rules, extra = "", route, args = [], env } = {}) {
    const port = await this.receiver();
    const state = join(this.dir, "collector");
    mkdirSync(state, { recursive: true });
    const files = rules ?? [join(root, "rules/stock/starter.yaml"), join(root, "rules/stock/starter.overrides.yaml")];
    this.httpPort ??= await freePort();
    this.ingestPort ??= await freePort();
    const config = this.put(
      "collector.yaml",
      `listen: {http: "127.0.0.1:${this.httpPort}", agents: "127.0.0.1:${this.ingestPort}"}
state_dir: ${state}
rules: [${files.join(", ")}]
${
        route ??
        `route: {receiver: default}
receivers:
  - name: default
    webhook_configs: [{url: "http://127.0.0.1:${port}/tocsin"}]
`
      }${extra}`,
    );
    const c = this.spawn("collector", join(bin, "tocsin-collector"), ["--config", config, ...args], { env });
    this.url = `http://127.0.0.1:${this.httpPort}`;
    await until("the collector to be ready", async () => (await fetchText(`${this.url}/-/ready`)).status === 200).catch((e) => {
      throw new Error(`${e.message}\n${this.log(c)}`);
    });
    return c;
  }

  async agent({ config = "", name = "agent", host } = {}) {
    const path = this.put(
      `${name}.yaml`,
      `collector: http://127.0.0.1:${this.ingestPort}
state_dir: ${join(this.dir, name)}
${host ? `host: ${host}\n` : ""}${config}`,
    );
    const a = this.spawn(name, join(bin, "tocsin-agent"), ["--config", path]);
    await until("the agent's first sample", async () => (await this.query(`up{job="node"${host ? `,instance="${host}"` : ""}} == 1`)).length > 0).catch(
      (e) => {
        throw new Error(`${e.message}\n${this.log(a)}`);
      },
    );
    return a;
  }

  async query(expr, time) {
    const q = new URLSearchParams({ query: expr });
    if (time) q.set("time", time);
    const r = await fetchText(`${this.url}/api/v1/query?${q}`);
    const j = JSON.parse(r.text);
    if (j.status !== "success") throw new Error(`${expr}: ${j.error}`);
    return j.data.result;
  }

  /** nginx with its own prefix; worker processes and a master; `upstream`: a port it asks for the page. Returns {port, child, kill()}. */
  async nginx({ port, body = "ok", upstream } = {}) {
    port ??= await freePort();
    const p = join(this.dir, `nginx-${port}`);
    for (const d of ["logs", "html", "tmp"]) mkdirSync(join(p, d), { recursive: true });
    writeFileSync(join(p, "html/index.html"), body);
    writeFileSync(
      join(p, "nginx.conf"),
      `daemon off; pid ${p}/nginx.pid; error_log ${p}/logs/error.log; worker_processes 2;
events { worker_connections 1024; }
http {
  access_log off; default_type text/plain;
  client_body_temp_path ${p}/tmp/a; proxy_temp_path ${p}/tmp/b; fastcgi_temp_path ${p}/tmp/c; uwsgi_temp_path ${p}/tmp/d; scgi_temp_path ${p}/tmp/e;
  server { listen 127.0.0.1:${port}; root ${p}/html; ${upstream ? `location / { proxy_pass http://127.0.0.1:${upstream}; }` : ""} }
}
`,
    );
    const child = this.spawn(`nginx-${port}`, "/usr/sbin/nginx", ["-p", p, "-c", join(p, "nginx.conf")]);
    await until("nginx", async () => (await fetchText(`http://127.0.0.1:${port}/`)).status === 200);
    return { port, child, prefix: p };
  }

  /** A PostgreSQL cluster of its own; as root it runs as the package's user. */
  async postgres() {
    const port = await freePort();
    const bins = `/usr/lib/postgresql/${readdirSync("/usr/lib/postgresql").sort().at(-1)}/bin`;
    const data = join(this.dir, "postgres");
    mkdirSync(data);
    const root = process.getuid() === 0;
    if (root) execFileSync("chown", ["postgres", data]);
    const as = root ? ["runuser", "-u", "postgres", "--"] : [];
    const [first, ...rest] = [...as, `${bins}/initdb`, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"];
    execFileSync(first, rest, { stdio: "pipe" });
    const [run, ...args] = [...as, `${bins}/postgres`, "-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", data, "-F"];
    const child = this.spawn("postgres", run, args);
    const psql = (tool, ...more) => execFileSync(`${bins}/${tool}`, ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres", ...more], { stdio: "pipe" });
    await until("postgres", () => psql("psql", "-c", "select 1").length > 0);
    return { port, child, bins, psql };
  }

  async close() {
    this.receiverServer?.closeAllConnections?.();
    this.receiverServer?.close();
    const all = [...this.children];
    for (const c of all) {
      c.kill("SIGCONT");
      c.kill("SIGTERM");
    }
    await Promise.race([Promise.all(all.map((c) => c.gone)), sleep(3000)]);
    for (const c of this.children) c.kill("SIGKILL");
    if (!process.env.KEEP) rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Pids of a process and all below it. */
export function tree(pid) {
  const out = [pid];
  let kids = "";
  try {
    kids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  } catch {
    return out;
  }
  for (const k of kids.split(" ").filter(Boolean)) out.push(...tree(Number(k)));
  return out;
}

/** user + system CPU seconds of a process (not its children). */
export function cpuSeconds(pid) {
  const f = readFileSync(`/proc/${pid}/stat`, "utf8");
  const v = f.slice(f.lastIndexOf(")") + 2).split(" ");
  return (Number(v[11]) + Number(v[12])) / 100;
}

export function rssKiB(pid, key = "VmRSS") {
  const m = readFileSync(`/proc/${pid}/status`, "utf8").match(new RegExp(`${key}:\\s+(\\d+)`));
  return m ? Number(m[1]) : 0;
}

export function privateKiB(pid) {
  const t = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const v = (k) => Number(t.match(new RegExp(`${k}:\\s+(\\d+)`))?.[1] ?? 0);
  return v("Private_Dirty") + v("Private_Clean");
}

/** Runs cases one after the other and ends with the plain closing line. */
export async function run(cases) {
  let passed = 0;
  let failed = 0;
  for (const [name, fn] of cases) {
    const begun = now();
    try {
      await fn();
      passed++;
      console.log(`ok    ${name} (${((now() - begun) / 1000).toFixed(1)} s)`);
    } catch (e) {
      failed++;
      console.log(`FAIL  ${name}: ${e.stack ?? e}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
  setTimeout(() => process.exit(), 10000).unref(); // a server that a test left open holds nobody up
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export { httpGet };
