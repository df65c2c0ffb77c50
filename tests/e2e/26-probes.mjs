// SPDX-License-Identifier: Apache-2.0
// Probes beside the real servers of Debian: up with their numbers, hanging, refusing, answering wrong,
// refusing a login, overloaded, with an expired certificate: the right verdict and class each time.

import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { createServer as createTls } from "node:tls";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as servers from "./servers.mjs";
import { World, check, freePort, run, until } from "./world.mjs";

const w = new World();
const port = {};
const server = {};
const password = w.put("password", "right\n", 0o600);
const wrong = w.put("wrong", "wrong\n", 0o600);

async function start() {
  for (const name of ["tls", "full", "banner", "silent", "nobody"]) port[name] = await freePort();
  const started = {
    redis: await servers.redis(w),
    locked: await servers.redis(w, "locked", "--requirepass", "right"),
    memcached: await servers.memcached(w),
    nats: await servers.nats(w),
    mqtt: await servers.mosquitto(w),
    mysql: await servers.mariadb(w),
    postgres: await w.postgres(),
  };
  for (const [name, of] of Object.entries(started)) [port[name], server[name]] = [of.port, of.child];

  const key = join(w.dir, "key.pem");
  const cert = join(w.dir, "cert.pem");
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "30"], { stdio: "ignore" });
  server.tls = createTls({ key: readFileSync(key), cert: readFileSync(cert) }, (s) => s.on("error", () => {})).listen(port.tls, "127.0.0.1");
  server.full = createServer((s) => s.on("error", () => {}).end("-ERR max number of clients reached\r\n")).listen(port.full, "127.0.0.1");
  server.banner = createServer((s) => s.on("error", () => {}).write("220 mail ready\r\n")).listen(port.banner, "127.0.0.1");
  server.silent = createServer((s) => s.on("error", () => {})).listen(port.silent, "127.0.0.1");
}

const probe = (name, kind, target, more = "") => `  - {name: ${name}, ${kind}: "127.0.0.1:${target}", every: 250ms, timeout: 1s${more}}\n`;
const success = async (name) => Number((await w.query(`probe_success{probe="${name}"}`))[0]?.value[1]);
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`increase(tocsin_probe_failures_total{probe="${name}",class="${cls}"}[1m]) > 0 or tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 8000);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);

await run([
  [
    "every server is up, and tells its numbers",
    async () => {
      await start();
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({
        config:
          "probes:\n" +
          probe("redis", "redis", port.redis) +
          probe("locked", "redis", port.locked) +
          probe("login", "redis", port.locked, `, password_file: ${password}`) +
          probe("badlogin", "redis", port.locked, `, password_file: ${wrong}`) +
          probe("memcached", "memcached", port.memcached) +
          probe("postgres", "postgresql", port.postgres) +
          probe("mysql", "mysql", port.mysql) +
          probe("mysqllogin", "mysql", port.mysql, `, user: u, password_file: ${password}`) +
          probe("mysqlbad", "mysql", port.mysql, `, user: u, password_file: ${wrong}`) +
          probe("nats", "nats", port.nats) +
          probe("natslogin", "nats", port.nats, `, user: u, password_file: ${password}`) +
          probe("natsbad", "nats", port.nats, `, user: u, password_file: ${wrong}`) +
          probe("mqtt", "mqtt", port.mqtt) +
          probe("banner", "tcp", port.banner, `, expect: "220 "`) +
          probe("otherwise", "tcp", port.banner, `, expect: "250 "`) +
          probe("unknown", "tls", port.tls) +
          probe("full", "redis", port.full) +
          probe("silent", "redis", port.silent) +
          probe("nobody", "amqp", port.nobody) +
          probe("mistaken", "redis", port.nats) +
          probe("alsomistaken", "amqp", port.redis) +
          probe("mistakenpg", "postgresql", port.banner) +
          probe("mistakenmy", "mysql", port.banner) +
          `  - {name: live, websocket: "ws://${new URL(w.url).host}/v1/live", every: 250ms}\n` +
          `  - {name: nolive, websocket: "ws://${new URL(w.url).host}/nowhere", every: 250ms}\n` +
          '  - {name: byname, redis: "localhost:' + port.redis + '", every: 250ms}\n' +
          '  - {name: noname, redis: "nowhere.invalid:6379", every: 250ms}\n',
      });
      for (const name of ["redis", "locked", "login", "memcached", "postgres", "mysql", "mysqllogin", "nats", "natslogin", "mqtt", "banner", "live", "byname"]) await up(name);
      await until("redis tells", async () => (await value('redis_connected_clients{probe="redis"}')) >= 1 && (await value('redis_memory_used_bytes{probe="login"}')) > 100000);
      check(Number.isNaN(await value('redis_connected_clients{probe="locked"}')), "numbers without a login");
      await until("memcached tells", async () => (await value('memcached_limit_bytes{probe="memcached"}')) === 64 * 1024 * 1024);
      await until("mysql tells", async () => (await value('mysql_global_status_threads_connected{probe="mysqllogin"}')) >= 1);
      check((await value('mysql_global_status_aborted_connects{probe="mysqllogin"}')) >= 0, "aborted_connects is there");
    },
  ],
  [
    "what is wrong with each of the others is told apart",
    async () => {
      await failed("badlogin", "login");
      await failed("mysqlbad", "login");
      await failed("natsbad", "login");
      await failed("unknown", "certificate");
      await failed("full", "overloaded");
      await failed("silent", "timeout");
      await failed("nobody", "refused");
      await failed("mistaken", "protocol");
      await failed("mistakenpg", "protocol");
      await failed("mistakenmy", "protocol");
      await failed("otherwise", "timeout");
      await failed("noname", "resolve");
      await failed("nolive", "status");
      // Redis hangs up on what is no Redis, or answers with an error.
      await until("not AMQP", async () => (await success("alsomistaken")) === 0);
    },
  ],
  [
    "a probe of a hanging server times out and delays no other; killed, it is refused",
    async () => {
      const before = await value('sum(tocsin_probe_skipped_total{probe!="silent"})');
      for (const [name, of] of [["redis", server.redis], ["memcached", server.memcached], ["mysql", server.mysql], ["natslogin", server.nats], ["mqtt", server.mqtt]]) of.kill("SIGSTOP");
      for (const name of ["redis", "memcached", "mysql", "natslogin", "mqtt"]) await failed(name, "timeout");
      check((await success("login")) === 1 && (await success("postgres")) === 1, "the others");
      check((await value('max(tocsin_probe_start_lag_seconds_max)')) < 0.1, "starts are late");
      for (const of of [server.redis, server.memcached, server.mysql, server.nats, server.mqtt]) of.kill("SIGCONT");
      for (const name of ["redis", "memcached", "mysql", "natslogin", "mqtt"]) await up(name);
      check(before >= 0, "skipped is counted");
      for (const of of [server.redis, server.memcached, server.mqtt]) of.kill("SIGKILL");
      for (const name of ["redis", "memcached", "mqtt"]) await failed(name, "refused");
    },
  ],
]);
server.tls.close();
server.full.close();
server.banner.close();
server.silent.close();
await w.close();
