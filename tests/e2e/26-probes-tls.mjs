// SPDX-License-Identifier: Apache-2.0
// Probes over TLS beside real servers: nginx in front of our own WebSocket, Redis, NATS, mosquitto, MariaDB; up, with a certificate
// that is expired, of another name or nobody's, hanging in the handshake, no TLS at all, refusing. A burst
// of handshakes and servers that hang in theirs delay nobody.

import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { World, check, freePort, run, until } from "./world.mjs";

const w = new World();
const port = {};
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 15000);

function certificate(name, alt, days) {
  const at = (suffix) => join(w.dir, `${name}.${suffix}`);
  w.put(`${name}.ext`, `subjectAltName=${alt}\n`);
  execFileSync("openssl", ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("key"), "-out", at("csr"), "-subj", `/CN=${name}`], { stdio: "ignore" });
  execFileSync("openssl", ["x509", "-req", "-in", at("csr"), "-signkey", at("key"), "-days", String(days), "-extfile", at("ext"), "-out", at("pem")], { stdio: "ignore" });
  return at("pem");
}

const good = certificate("good", "DNS:localhost,IP:127.0.0.1", 30);
const expired = certificate("expired", "DNS:localhost,IP:127.0.0.1", -1);
const other = certificate("other", "DNS:elsewhere.test", 30);
const connections = new Set();
const plain = (fn) => createServer((s) => (connections.add(s), s.on("error", () => {}), fn(s)));
const server = { banner: plain((s) => s.write("220 mail ready\r\n")), silent: plain(() => {}), quits: plain((s) => s.end()) };

function nginx() {
  const p = join(w.dir, "nginx");
  for (const d of ["logs", "tmp"]) mkdirSync(join(p, d), { recursive: true });
  const site = (listen, name) => `server {
    listen 127.0.0.1:${listen} ssl; ssl_certificate ${join(w.dir, name)}.pem; ssl_certificate_key ${join(w.dir, name)}.key;
    location / { proxy_pass ${w.url}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host ${new URL(w.url).host}; }
  }`;
  w.put(
    "nginx/nginx.conf",
    `daemon off; pid ${p}/nginx.pid; error_log ${p}/logs/error.log; worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path ${p}/tmp/a; proxy_temp_path ${p}/tmp/b; fastcgi_temp_path ${p}/tmp/c; uwsgi_temp_path ${p}/tmp/d; scgi_temp_path ${p}/tmp/e;
  ${site(port.good, "good")} ${site(port.expired, "expired")} ${site(port.other, "other")}
}
`,
  );
  server.nginx = w.spawn("nginx", "/usr/sbin/nginx", ["-p", p, "-c", join(p, "nginx.conf")]);
}

const trusting = (file) => `, ca_file: ${file}, every: 250ms, timeout: 1s}\n`;
const wss = (name, at, file, path = "/v1/live", host = "127.0.0.1") => `  - {name: ${name}, websocket: "wss://${host}:${at}${path}"${trusting(file)}`;
const burst = 30;

await run([
  [
    "wss, Redis over TLS, a text over TLS and the certificate alone are up, with the certificate's end",
    async () => {
      for (const name of ["good", "expired", "other", "redis", "banner", "silent", "quits", "nobody", "nats", "mqtt", "mysql"]) port[name] = await freePort();
      for (const name of ["banner", "silent", "quits"]) await new Promise((r) => server[name].listen(port[name], "127.0.0.1", r));
      server.redis = w.spawn("redis", "redis-server", ["--port", "0", "--tls-port", String(port.redis), "--bind", "127.0.0.1", "--save", "", "--dir", w.dir,
        "--tls-cert-file", good, "--tls-key-file", good.replace("pem", "key"), "--tls-ca-cert-file", good, "--tls-auth-clients", "no"]);
      server.nats = w.spawn("nats", "/usr/sbin/nats-server", ["-a", "127.0.0.1", "-p", String(port.nats), "--tls", "--tlscert", good, "--tlskey", good.replace("pem", "key"), "--user", "u", "--pass", "right"]);
      w.put("mosquitto.conf", `listener ${port.mqtt} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\ncertfile ${good}\nkeyfile ${good.replace("pem", "key")}\n`);
      server.mqtt = w.spawn("mqtt", "/usr/sbin/mosquitto", ["-c", join(w.dir, "mosquitto.conf")]);
      const data = join(w.dir, "mysql");
      mkdirSync(data);
      const mysql = ["--no-defaults", `--datadir=${data}`, "--user=root"];
      execFileSync("mariadb-install-db", [...mysql, "--auth-root-authentication-method=normal", "--skip-test-db"], { stdio: "ignore" });
      w.put("init.sql", "CREATE USER 'u'@'%' IDENTIFIED BY 'right' REQUIRE SSL;\nFLUSH PRIVILEGES;\n");
      server.mysql = w.spawn("mysql", "mariadbd", [...mysql, "--bind-address=127.0.0.1", `--port=${port.mysql}`, `--socket=${data}/s`, `--init-file=${join(w.dir, "init.sql")}`, "--skip-name-resolve", `--ssl-cert=${good}`, `--ssl-key=${good.replace("pem", "key")}`]);
      const password = `user: u, password_file: ${w.put("password", "right\n", 0o600)}`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      nginx();
      let config = "probes:\n";
      config += wss("live", port.good, good) + wss("byname", port.good, good, "/v1/live", "localhost") + wss("nolive", port.good, good, "/nowhere");
      config += wss("expired", port.expired, expired) + wss("other", port.other, other);
      config += `  - {name: nobodys, websocket: "wss://127.0.0.1:${port.good}/v1/live", every: 250ms, timeout: 1s}\n`;
      config += wss("plain", port.banner, good) + wss("silent", port.silent, good) + wss("quits", port.quits, good) + wss("nobody", port.nobody, good);
      config += `  - {name: rediss, redis: "127.0.0.1:${port.redis}", tls: true${trusting(good)}`;
      config += `  - {name: nats, nats: "127.0.0.1:${port.nats}", tls: true, ${password}${trusting(good)}`;
      config += `  - {name: mqtts, mqtt: "127.0.0.1:${port.mqtt}", tls: true${trusting(good)}`;
      config += `  - {name: mysql, mysql: "127.0.0.1:${port.mysql}", tls: true, ${password}${trusting(good)}`;
      config += `  - {name: mysqlplain, mysql: "127.0.0.1:${port.mysql}", ${password}, every: 250ms}\n`;
      config += `  - {name: cert, tls: "127.0.0.1:${port.good}"${trusting(good)}`;
      config += `  - {name: oldcert, tls: "127.0.0.1:${port.expired}"${trusting(expired)}`;
      config += `  - {name: https, http: "https://127.0.0.1:${port.good}/api/v1/query?query=1"${trusting(good)}`;
      config += `  - {name: oldhttps, http: "https://127.0.0.1:${port.expired}/"${trusting(expired)}`;
      config += `  - {name: asked, tcp: "127.0.0.1:${port.good}", tls: true, send: "GET / HTTP/1.0\\r\\n\\r\\n", expect: "HTTP/1.1 "${trusting(good)}`;
      for (let i = 0; i < burst; i++) config += `  - {name: burst${i}, tls: "127.0.0.1:${port.good}"${trusting(good)}`;
      for (let i = 0; i < 5; i++) config += `  - {name: hang${i}, tls: "127.0.0.1:${port.silent}"${trusting(good)}`;
      await w.agent({ config });
      for (const name of ["live", "byname", "rediss", "nats", "mqtts", "mysql", "cert", "https", "asked", "burst0", `burst${burst - 1}`]) await up(name);
      for (const name of ["live", "rediss", "nats", "mqtts", "mysql", "cert", "https"]) {
        const days = ((await value(`probe_ssl_earliest_cert_expiry{probe="${name}"}`)) - Date.now() / 1000) / 86400;
        check(Math.abs(days - 30) < 0.1, `${name}: ${days} days left`);
      }
      await until("MariaDB tells over TLS", async () => (await value('mysql_global_status_threads_connected{probe="mysql"}')) >= 1);
      await until("Redis tells over TLS", async () => (await value('redis_memory_used_bytes{probe="rediss"}')) > 100000);
    },
  ],
  [
    "what is wrong with each of the others is told apart",
    async () => {
      for (const name of ["expired", "other", "nobodys", "oldcert", "oldhttps"]) await failed(name, "certificate");
      await failed("plain", "tls");
      await failed("silent", "timeout");
      await failed("quits", "closed");
      await failed("nobody", "refused");
      await failed("nolive", "status");
      await failed("mysqlplain", "login");
      const days = ((await value('probe_ssl_earliest_cert_expiry{probe="oldcert"}')) - Date.now() / 1000) / 86400;
      check(days < 0 && days > -2, `an expired certificate says since when: ${days} days`);
    },
  ],
  [
    "servers that hang in their handshake delay no other, and starts are in time",
    async () => {
      for (let i = 0; i < burst; i++) await up(`burst${i}`);
// Of 120 starts a second few are left out on a busy host; all would be, were they to wait for those that hang.
      const skipped = () => value('sum(tocsin_probe_skipped_total{probe=~"burst.*"})');
      const asked = () => value('sum(histogram_count(tocsin_probe_latency_seconds{probe=~"burst.*"}))');
      const [before, begun] = [await skipped(), await asked()];
      await until("200 more answers", async () => (await asked()) >= begun + 200, 20000);
      check((await skipped()) - before <= 20, `${(await skipped()) - before} starts were skipped`);
      check((await value('max(max_over_time(tocsin_probe_start_lag_seconds_max{probe=~"burst.*"}[10s]))')) < 0.5, "starts are late");
      const worker = Number(execFileSync("pgrep", ["-P", String(server.nginx.pid)]));
      process.kill(worker, "SIGSTOP");
      for (const name of ["live", "cert", "https"]) await failed(name, "timeout");
      check((await success("rediss")) === 1, "Redis beside it");
      process.kill(worker, "SIGCONT");
      for (const name of ["live", "cert", "https"]) await up(name);
    },
  ],
]);
for (const s of connections) s.destroy();
for (const name of ["banner", "silent", "quits"]) server[name].close();
await w.close();
