// SPDX-License-Identifier: Apache-2.0
// The whole way on real services: each appears by itself with its name, its traffic is counted, a
// crash pages at once and a restart pages nobody.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { World, bin, check, fetchText, freePort, now, run, sleep, tree, until } from "./world.mjs";

const w = new World();
const told = (status, name, port) => (h) =>
  h.path === "/tocsin" && h.body.alerts.some((a) => a.labels.alertname === name && a.status === status && (!port || a.labels.port === String(port)));
const one = async (expr) => {
  const r = await w.query(expr);
  return r.length ? Number(r[0].value[1]) : NaN;
};
const services = async () => new Map((await w.query("tocsin_service_listening == 1")).map((s) => [Number(s.metric.port), s.metric.service]));

let nginx;
async function redis(port) {
  const dir = join(w.dir, `redis-${port}`);
  mkdirSync(dir, { recursive: true });
  const c = w.spawn(`redis-${port}`, "redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--daemonize", "no"]);
  await until("redis", () => execFileSync("redis-cli", ["-p", String(port), "ping"]).toString().includes("PONG"));
  return c;
}

await run([
  [
    "collector and agent come up, the page answers, no Host but ours is served",
    async () => {
      await w.collector();
      await w.agent();
      const page = await fetchText(`${w.url}/`);
      check(page.status === 200, `the page answers ${page.status}`);
      check(/default-src 'self'/.test(page.headers["content-security-policy"] ?? ""), "a strict content security policy");
      const other = await fetchText(`${w.url}/`, { headers: { Host: "evil.example" } });
      check(other.status >= 400, `a foreign Host gets ${other.status}`);
      const origin = await fetchText(`${w.url}/api/v1/query?query=up`, { headers: { Origin: "http://evil.example" } });
      check(origin.status >= 400, `a foreign Origin gets ${origin.status}`);
      check((await fetchText(`${w.url}/-/healthy`)).status === 200, "healthy");
    },
  ],
  [
    "nginx, redis and postgres appear by name within 2 s of listening",
    async () => {
      const appears = async (name, port) => {
        const begun = now(); // it listens since a moment before
        await until(name, async () => (await services()).get(port)?.startsWith(name));
        const took = now() - begun;
        console.log(`      ${name}: ${took.toFixed(0)} ms`);
        check(took < 2000, `${name} took ${took.toFixed(0)} ms`);
      };
      nginx = await w.nginx();
      await appears("nginx", nginx.port);
      w.redisPort = await freePort();
      w.redis = await redis(w.redisPort);
      await appears("redis", w.redisPort);
      w.pg = await w.postgres();
      await appears("postgres", w.pg.port);
    },
  ],
  [
    "connections and throughput are counted while they last",
    async () => {
      const load = w.spawn("wrk", "wrk", ["-t1", "-c8", "-d4s", `http://127.0.0.1:${nginx.port}/`]);
      await until("established connections", async () => (await one(`tocsin_service_connections{port="${nginx.port}",state="established"}`)) >= 8, 6000);
      await load.gone;
      await sleep(1500);
      check((await one(`tocsin_service_sent_bytes_total{port="${nginx.port}"}`)) > 100000, "bytes sent were counted");
      check((await one(`tocsin_service_connections_opened_total{port="${nginx.port}"}`)) >= 8, "opened connections were counted");
      execFileSync("redis-benchmark", ["-p", String(w.redisPort), "-q", "-n", "20000", "-c", "4", "-t", "get"]);
      w.pg.psql("pgbench", "-i", "-q", "postgres");
      const pgbench = w.spawn("pgbench", `${w.pg.bins}/pgbench`, ["-h", "127.0.0.1", "-p", String(w.pg.port), "-U", "postgres", "-S", "-c", "4", "-T", "3", "postgres"]);
      await until("postgres connections", async () => (await one(`tocsin_service_connections{port="${w.pg.port}",state="established"}`)) >= 4, 6000);
      await pgbench.gone;
      await until("postgres bytes", async () => (await one(`tocsin_service_sent_bytes_total{port="${w.pg.port}"}`)) > 100000, 4000);
      await until("redis bytes", async () => (await one(`tocsin_service_received_bytes_total{port="${w.redisPort}"}`)) > 100000, 4000);
    },
  ],
  [
    "a planned restart of nginx and of redis pages nobody",
    async () => {
      await sleep(10500); // settled
      const from = now();
      process.kill(nginx.child.pid, "SIGQUIT");
      await nginx.child.gone;
      nginx = await w.nginx({ port: nginx.port });
      process.kill(nginx.child.pid, "SIGHUP");
      w.redis.kill("SIGTERM");
      await w.redis.gone;
      w.redis = await redis(w.redisPort);
      await sleep(3500); // longer than the grace
      check(w.pages(from).length === 0, w.pages(from).join("\n"));
    },
  ],
  [
    "SIGKILL of all nginx processes pages ServiceCrashed at once, and it resolves when nginx is back",
    async () => {
      const from = now();
      for (const p of tree(nginx.child.pid)) process.kill(p, "SIGKILL");
      const h = await w.hook(told("firing", "ServiceCrashed", nginx.port), from, 5000);
      check(h, "no page within 5 s");
      console.log(`      fault to webhook: ${(h.at - from).toFixed(1)} ms`);
      const a = h.body.alerts.find((x) => x.labels.port === String(nginx.port));
      check(a?.labels.service === "nginx" && a.labels.port === String(nginx.port), JSON.stringify(a.labels));
      check(h.body.version === "4" && a.fingerprint.length === 16 && a.endsAt === "0001-01-01T00:00:00Z", "Alertmanager v4 body");
      const fixed = now();
      nginx = await w.nginx({ port: nginx.port });
      const back = await w.hook(told("resolved", "ServiceCrashed", nginx.port), fixed, 5000);
      check(back, "not resolved within 5 s");
      console.log(`      recovery to resolved: ${(back.at - fixed).toFixed(0)} ms`);
    },
  ],
  [
    "tocsin status, alerts and query answer, and a stopped collector is exit code 3",
    async () => {
      const cli = (...args) => execFileSync(join(bin, "tocsin"), [...args, "--url", w.url], { encoding: "utf8" });
      check(/agents/i.test(cli("status")), "status names agents");
      cli("alerts");
      check(/nginx/.test(cli("query", 'tocsin_service_listening{service="nginx"}')), "query shows nginx");
      let code = 0;
      try {
        execFileSync(join(bin, "tocsin"), ["status", "--url", "http://127.0.0.1:1"], { stdio: "pipe" });
      } catch (e) {
        code = e.status;
      }
      check(code === 3, `exit code ${code}`);
    },
  ],
  [
    "SIGTERM of the agent is a goodbye: nobody is paged",
    async () => {
      const from = now();
      const agent = [...w.children].find((c) => c.title === "agent");
      agent.kill("SIGTERM");
      await agent.gone;
      await sleep(4000);
      check(!w.hooks.some((h) => h.at >= from && told("firing", "AgentDown")(h)), "AgentDown was paged");
      check(existsSync(w.dir), "world stands");
    },
  ],
]);
await w.close();
