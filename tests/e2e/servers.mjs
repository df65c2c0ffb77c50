// SPDX-License-Identifier: Apache-2.0
// The real servers of Debian, each in a folder of its own on a free port of loopback. A starter returns
// {port, child, ...}; what is a tree of processes is stopped and killed as one.

import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, tree, until, fetchText } from "./world.mjs";

const folder = (w, name) => {
  const dir = join(w.dir, name);
  mkdirSync(dir, { recursive: true });
  return dir;
};

/** SIGSTOP, SIGCONT or SIGKILL to all of a server. */
export function signal(child, name) {
  for (const pid of tree(child.pid)) process.kill(pid, name);
}

export async function redis(w, name = "redis", ...more) {
  const port = await freePort();
  return { port, child: w.spawn(name, "redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder(w, name), ...more]) };
}

export async function memcached(w) {
  const port = await freePort();
  return { port, child: w.spawn("memcached", "memcached", ["-u", "root", "-l", "127.0.0.1", "-p", String(port), "-U", "0"]) };
}

/** With the login u, right. Its monitoring port is `monitor`. */
export async function nats(w) {
  const port = await freePort();
  const monitor = await freePort();
  const child = w.spawn("nats", "/usr/sbin/nats-server", ["-a", "127.0.0.1", "-p", String(port), "-m", String(monitor), "--user", "u", "--pass", "right"]);
  return { port, monitor, child };
}

export async function mosquitto(w) {
  const port = await freePort();
  w.put("mosquitto.conf", `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n`);
  return { port, child: w.spawn("mqtt", "/usr/sbin/mosquitto", ["-c", join(w.dir, "mosquitto.conf")]) };
}

/** With the login u, right, and no anonymous one. */
export async function mariadb(w) {
  const port = await freePort();
  const data = folder(w, "mysql");
  const args = ["--no-defaults", `--datadir=${data}`, "--user=root"];
  execFileSync("mariadb-install-db", [...args, "--auth-root-authentication-method=normal", "--skip-test-db"], { stdio: "ignore" });
  w.put("init.sql", "CREATE USER 'u'@'%' IDENTIFIED BY 'right';\nDELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n");
  const child = w.spawn("mysql", "mariadbd", [...args, "--bind-address=127.0.0.1", `--port=${port}`, `--socket=${data}/s`, `--init-file=${join(w.dir, "init.sql")}`, "--skip-name-resolve"]);
  return { port, child };
}

function nginxWith(w, name, port, server, limit = 1024) {
  const p = folder(w, name);
  for (const d of ["logs", "tmp"]) mkdirSync(join(p, d));
  writeFileSync(
    join(p, "nginx.conf"),
    `daemon off; pid ${p}/nginx.pid; error_log ${p}/logs/error.log; worker_processes 1;
events { worker_connections ${limit}; }
http {
  access_log off; client_body_temp_path ${p}/tmp/a; proxy_temp_path ${p}/tmp/b; fastcgi_temp_path ${p}/tmp/c; uwsgi_temp_path ${p}/tmp/d; scgi_temp_path ${p}/tmp/e;
  server { ${server} }
}
`,
  );
  return { port, child: w.spawn(name, "/usr/sbin/nginx", ["-p", p, "-c", join(p, "nginx.conf")]) };
}

/** nginx whose /status is stub_status; one worker with 64 connections. */
export async function nginxStatus(w) {
  const port = await freePort();
  const server = `listen 127.0.0.1:${port}; location /status { stub_status; } location / { return 200 "ok"; }`;
  return { ...nginxWith(w, "nginx-status", port, server, 64), url: `http://127.0.0.1:${port}/status` };
}

export async function nginxTls(w, certificate, key) {
  const port = await freePort();
  return nginxWith(w, "nginx-tls", port, `listen 127.0.0.1:${port} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key}; location / { return 200 "ok"; }`);
}

/** HAProxy with a backend `app` of two servers, the second down; its page, its socket, its own exporter. */
export async function haproxy(w, backend) {
  const [port, page, nobody] = [await freePort(), await freePort(), await freePort()];
  const dir = folder(w, "haproxy");
  const socket = join(dir, "stats");
  w.put(
    "haproxy/conf",
    `global
  stats socket ${socket} level user mode 600
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
frontend web
  bind 127.0.0.1:${port}
  maxconn 100
  default_backend app
backend app
  server one 127.0.0.1:${backend} maxconn 7
  server two 127.0.0.1:${nobody} check inter 200
frontend stats
  bind 127.0.0.1:${page}
  http-request use-service prometheus-exporter if { path /metrics }
  stats enable
  stats uri /stats
`,
  );
  const child = w.spawn("haproxy", "/usr/sbin/haproxy", ["-f", join(dir, "conf"), "-db"]);
  return { port, page, socket, url: `http://127.0.0.1:${page}/stats;csv`, exporter: `http://127.0.0.1:${page}/metrics`, child };
}

/** RabbitMQ with its management and its Prometheus plugin, and the user mon, m with the tag `monitoring`. */
export async function rabbitmq(w) {
  const dir = folder(w, "rabbitmq");
  const [port, api, metrics, dist, epmd] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()];
  w.put("rabbitmq/conf.conf", `listeners.tcp.1 = 127.0.0.1:${port}\nmanagement.tcp.port = ${api}\nmanagement.tcp.ip = 127.0.0.1\nprometheus.tcp.port = ${metrics}\nprometheus.tcp.ip = 127.0.0.1\n`);
  w.put("rabbitmq/enabled", "[rabbitmq_management,rabbitmq_prometheus].\n");
  const env = {
    HOME: dir,
    RABBITMQ_NODENAME: `t${port}@localhost`,
    RABBITMQ_MNESIA_BASE: join(dir, "mnesia"),
    RABBITMQ_LOG_BASE: join(dir, "log"),
    RABBITMQ_CONFIG_FILE: join(dir, "conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, "enabled"),
    RABBITMQ_PID_FILE: join(dir, "pid"),
    RABBITMQ_DIST_PORT: String(dist),
    ERL_EPMD_PORT: String(epmd),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 1:1 +sbwt none",
  };
  // Otherwise the server starts its own as a daemon, which nobody would end.
  w.spawn("epmd", "epmd", ["-address", "127.0.0.1"], { env });
  const child = w.spawn("rabbitmq", "sh", ["-c", "exec /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"], { env });
  const url = `http://127.0.0.1:${api}`;
  const call = (method, path, body) =>
    fetchText(`${url}/api/${path}`, { method, body: body && JSON.stringify(body), headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" } });
  await until("RabbitMQ", async () => (await call("GET", "whoami")).status === 200, 120000, 100);
  await call("PUT", "users/mon", { password: "m", tags: "monitoring" });
  await call("PUT", "permissions/%2F/mon", { configure: "^$", write: "^$", read: "^$" });
  return { port, url, metrics: `http://127.0.0.1:${metrics}/metrics`, call, child };
}

const owned = [];
/** A server of our own in this process: what it does with a connection is fn's. */
export async function own(fn) {
  const port = await freePort();
  const sockets = new Set();
  const server = createServer((s) => {
    sockets.add(s);
    s.on("error", () => {});
    s.on("close", () => sockets.delete(s));
    fn(s);
  });
  await new Promise((r) => server.listen(port, "127.0.0.1", r));
  owned.push(() => {
    server.close();
    for (const s of sockets) s.destroy();
  });
  return { port };
}

/** Ends all of them. */
export function closeOwn() {
  for (const close of owned.splice(0)) close();
}
