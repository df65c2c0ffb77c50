// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL probe with a login beside the real server: SCRAM, md5 and a password in the clear, TLS, the
// numbers of a role that may do nothing but read them, a wrong password, no right to log in, a server that
// hangs, restarts and refuses; what does not speak TLS.

import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { World, check, run, until } from "./world.mjs";

const w = new World();
const password = w.put("password", "right\n", 0o600);
const wrong = w.put("wrong", "wrong\n", 0o600);
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 20000);
let pg;
let data;
let agent;
const sql = (text) => pg.psql("psql", "-c", text);
const postmaster = () => Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);
const mean = createServer((s) => s.on("error", () => {}).on("data", () => s.write("SR\0\0\0\x08\0\0\0\0"))); // agrees to TLS and goes on in the clear

await run([
  [
    "logs in by SCRAM, md5, in the clear on this host, and over TLS; a role of pg_monitor tells the numbers",
    async () => {
      pg = await w.postgres();
      data = join(w.dir, "postgres");
      const owned = (name) => process.getuid() === 0 && execFileSync("chown", ["postgres", join(data, name)]);
      execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(data, "server.key"), "-out", join(data, "server.crt"), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"], { stdio: "ignore" });
      copyFileSync(join(data, "server.crt"), join(w.dir, "ca.pem"));
      owned("server.key");
      owned("server.crt");
      sql("CREATE ROLE monitor LOGIN PASSWORD 'right' IN ROLE pg_monitor");
      sql("CREATE ROLE clear LOGIN PASSWORD 'right' IN ROLE pg_monitor");
      sql("CREATE ROLE nobody LOGIN PASSWORD 'right' IN ROLE pg_monitor");
      pg.psql("psql", "-c", "SET password_encryption = 'md5'", "-c", "CREATE ROLE old LOGIN PASSWORD 'right' IN ROLE pg_monitor");
      sql("ALTER SYSTEM SET ssl = on");
      const hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all nobody 127.0.0.1/32 reject\nhost all clear 127.0.0.1/32 password\nhost all old 127.0.0.1/32 md5\nhost all all 127.0.0.1/32 scram-sha-256\n";
      execFileSync("sh", ["-c", 'cat > "$0"', join(data, "pg_hba.conf")], { input: hba });
      sql("SELECT pg_reload_conf()");
      await new Promise((r) => mean.listen(0, "127.0.0.1", r));
      const plain = createServer((s) => s.on("error", () => {}).on("data", () => s.write("N")));
      await new Promise((r) => plain.listen(0, "127.0.0.1", r));
      plain.unref();
      const q = (name, more, port = pg.port) => `  - {name: ${name}, postgresql: "127.0.0.1:${port}", every: 250ms, timeout: 1s${more}}\n`;
      const as = (user, file = password) => `, user: ${user}, password_file: ${file}`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      agent = await w.agent({
        config:
          "probes:\n" +
          q("bare", "") +
          q("scram", as("monitor")) +
          q("tls", `${as("monitor")}, tls: true, ca_file: ${join(w.dir, "ca.pem")}`) +
          q("nobodys", `${as("monitor")}, tls: true`) +
          q("clear", as("clear")) +
          q("md5", as("old")) +
          q("wrong", as("monitor", wrong)) +
          q("reject", as("nobody")) +
          q("plain", ", tls: true", plain.address().port) +
          q("mean", ", tls: true", mean.address().port),
      });
      for (const name of ["bare", "scram", "tls", "clear", "md5"]) await up(name);
      for (const name of ["scram", "tls", "clear", "md5"]) {
        await until(`${name} tells`, async () => (await value(`sum(pg_stat_activity_count{probe="${name}",state="active"})`)) >= 1);
        check((await value(`pg_settings_max_connections{probe="${name}"}`)) === 100, `${name}: max_connections`);
      }
      check((await w.query('pg_settings_max_connections{probe="bare"}')).length === 0, "numbers without a login");
      check((await value('probe_ssl_earliest_cert_expiry{probe="tls"}')) > Date.now() / 1000, "the certificate's end");
      check((await value('pg_replication_is_replica{probe="scram"}')) === 0, "no replica");
      const series = (await w.query('pg_stat_database_xact_commit{probe="scram",datname="postgres"}'))[0].metric;
      check(series.job === "probe" && series.port === String(pg.port) && series.target === `127.0.0.1:${pg.port}`, JSON.stringify(series));
    },
  ],
  [
    "the numbers are the server's: commits, a transaction left open, a lock waited for, one connection each",
    async () => {
      const commits = () => value('pg_stat_database_xact_commit{probe="scram",datname="postgres"}');
      const before = await commits();
      for (let i = 0; i < 20; i++) sql("SELECT 1");
      await until("commits", async () => (await commits()) >= before + 20);
      sql("CREATE TABLE t (a int)");
      const hold = w.spawn("hold", `${pg.bins}/psql`, ["-h", "127.0.0.1", "-p", String(pg.port), "-U", "postgres", "-c", "BEGIN; LOCK TABLE t; SELECT pg_sleep(60)"]);
      await until("a long transaction", async () => (await value('max(pg_stat_activity_max_tx_duration{probe="scram",state="active"})')) > 1);
      const wait = w.spawn("wait", `${pg.bins}/psql`, ["-h", "127.0.0.1", "-p", String(pg.port), "-U", "postgres", "-c", "BEGIN; LOCK TABLE t"]);
      await until("a lock waited for", async () => (await value('tocsin_postgresql_locks_waiting{probe="scram"}')) === 1);
      hold.kill("SIGKILL");
      wait.kill("SIGKILL");
      const kept = () => pg.psql("psql", "-At", "-c", "SELECT min(backend_start)::text || ' ' || count(*) FROM pg_stat_activity WHERE usename = 'monitor'").toString();
      const one = kept();
      // A reload that changes nothing leaves the connections alone, and their words are the new file's.
      agent.kill("SIGHUP");
      await until("the reload", async () => /config_reloaded/.test(w.log(agent)));
      const rounds = await commits();
      await until("more rounds", async () => (await commits()) > rounds + 4);
      check(one === kept() && / 2\n$/.test(one), `one kept connection each: ${one}`);
    },
  ],
  [
    "what is wrong with each of the others is told apart",
    async () => {
      await failed("wrong", "login");
      await failed("reject", "login");
      await failed("nobodys", "certificate");
      await failed("plain", "tls");
      await failed("mean", "protocol");
      check((await w.query('pg_settings_max_connections{probe="wrong"}')).length === 0, "numbers of a refused login");
    },
  ],
  [
    "a server that hangs, ends and comes back: the numbers end, and are there again",
    async () => {
      const kids = () => execFileSync("pgrep", ["-P", String(postmaster())]).toString().trim().split("\n").map(Number);
      const all = [postmaster(), ...kids()];
      for (const pid of all) try { process.kill(pid, "SIGSTOP"); } catch { /* one that just ended */ }
      for (const name of ["bare", "scram"]) await failed(name, "timeout");
      await until("the numbers end", async () => (await w.query('pg_settings_max_connections{probe="scram"}')).length === 0);
      check((await value("max(tocsin_probe_start_lag_seconds_max)")) < 0.5, "starts are late");
      for (const pid of all) try { process.kill(pid, "SIGCONT"); } catch { /* it gave up meanwhile */ }
      for (const name of ["bare", "scram"]) await up(name);
      await until("the numbers are back", async () => (await value('pg_settings_max_connections{probe="scram"}')) === 100, 20000);
      process.kill(postmaster(), "SIGQUIT");
      for (const name of ["bare", "scram"]) await failed(name, "refused");
      await until("the numbers end", async () => (await w.query('pg_settings_max_connections{probe="scram"}')).length === 0);
    },
  ],
]);
mean.close();
await w.close();
