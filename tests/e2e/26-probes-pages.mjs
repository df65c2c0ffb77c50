// SPDX-License-Identifier: Apache-2.0
// What nginx, HAProxy, RabbitMQ and NATS show of themselves: the same numbers under the same names as their
// exporters give, beside the real servers. A login that is refused, a page that is not there, series that
// end with what they were about.

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import * as servers from "./servers.mjs";
import { World, check, fetchText, run, until } from "./world.mjs";

const w = new World();
const password = w.put("password", "m\n", 0o600);
const wrong = w.put("wrong", "x\n", 0o600);
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const up = (name) => until(`${name} is up`, async () => (await value(`probe_success{probe="${name}"}`)) === 1, 20000);
const failed = (name, cls) => until(`${name} fails: ${cls}`, async () => (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 15000);

// name{labels} -> value of an exporter's page, without what is no number.
async function exported(url, prefix) {
  const out = new Map();
  for (const line of (await fetchText(url)).text.split("\n")) {
    const m = line.match(/^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/);
    if (!m || !m[1].startsWith(prefix) || m[3] === "NaN") continue;
    out.set(`${m[1]}{${(m[2] ?? "").split(",").filter(Boolean).sort().join(",")}}`, Number(m[3]));
  }
  return out;
}
async function ours(probe, prefix, labels) {
  const out = new Map();
  for (const s of await w.query(`{__name__=~"${prefix}.*",probe="${probe}"}`)) {
    const own = labels.filter((l) => s.metric[l]).map((l) => `${l}="${s.metric[l]}"`);
    out.set(`${s.metric.__name__}{${own.sort().join(",")}}`, Number(s.value[1]));
  }
  return out;
}
const held = [];
let rabbit, nginx, haproxy, nats;

await run([
  [
    "all are up",
    async () => {
      nginx = await servers.nginxStatus(w);
      haproxy = await servers.haproxy(w, nginx.port);
      nats = await servers.nats(w);
      rabbit = await servers.rabbitmq(w);
      for (const q of ["busy", "idle"]) await rabbit.call("PUT", `queues/%2F/${q}`, { durable: true });
      for (let i = 0; i < 7; i++) await rabbit.call("POST", "exchanges/%2F/amq.default/publish", { properties: {}, routing_key: "busy", payload: "x", payload_encoding: "string" });
      const login = (file) => `, user: mon, password_file: ${file}`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({
        config: `probes:
  - {name: nginx, nginx: "${nginx.url}", every: 250ms}
  - {name: nopage, nginx: "http://127.0.0.1:${nginx.port}/elsewhere", every: 250ms}
  - {name: haproxy, haproxy: "${haproxy.url}", every: 250ms}
  - {name: socket, haproxy: "${haproxy.socket}", every: 250ms}
  - {name: nosocket, haproxy: "${haproxy.socket}.none", every: 250ms}
  - {name: nats, nats: "http://127.0.0.1:${nats.monitor}", every: 250ms}
  - {name: rabbit, rabbitmq: "${rabbit.url}/", every: 250ms${login(password)}}
  - {name: nobody, rabbitmq: "${rabbit.url}", every: 250ms${login(wrong)}}
  - {name: mistaken, rabbitmq: "http://127.0.0.1:${nginx.port}", every: 250ms}
`,
      });
      for (const name of ["nginx", "haproxy", "socket", "nats", "rabbit"]) await up(name);
      await failed("nobody", "login");
      await failed("nopage", "protocol"); // it answers, and with something else
      await failed("mistaken", "protocol");
      await failed("nosocket", "refused");
    },
  ],
  [
    "HAProxy: every number is the one its own exporter gives, by the page and by the socket",
    async () => {
      for (let i = 0; i < 5; i++) await fetchText(`http://127.0.0.1:${haproxy.port}/`);
      // The page itself counts as traffic of the frontend `stats`, so that one never stands still; nor do clocks.
      const moving = /proxy="stats"|downtime|check_up_down|check_failures|time_average/;
      for (const probe of ["haproxy", "socket"])
        await until(`${probe} as exported`, async () => {
          const theirs = await exported(haproxy.exporter, "haproxy_");
          const all = await ours(probe, "haproxy_", ["proxy", "server", "state", "code"]);
          const off = [...all].filter(([k, v]) => !moving.test(k) && theirs.get(k) !== v);
          const unknown = [...all].filter(([k]) => !theirs.has(k));
          if (off.length || unknown.length) throw new Error(JSON.stringify([off, unknown]));
          return all.size > 100 && all.get('haproxy_server_sessions_total{proxy="app",server="one"}') === 5;
        });
      check((await value('haproxy_server_status{probe="socket",server="two",state="DOWN"}')) === 1, "the second server is down");
      check((await value('haproxy_server_limit_sessions{probe="socket",server="one"}')) === 7, "the limit of the first");
    },
  ],
  [
    "RabbitMQ: queues, alarms and memory are what its plugin gives",
    async () => {
      await until("queues", async () => (await value('rabbitmq_queue_messages_ready{probe="rabbit",queue="busy",vhost="/"}')) === 7, 20000);
      const theirs = await exported(rabbit.metrics, "rabbitmq_");
      const all = await ours("rabbit", "rabbitmq_", ["queue", "vhost"]);
      const own = ["rabbitmq_running", "rabbitmq_partitions"]; // of kbudde's exporter: the plugin has no such series
      const plain = (k) => `${k.slice(0, k.indexOf("{"))}{}`;
      const unknown = [...all.keys()].filter((k) => !theirs.has(plain(k)) && !own.includes(k.slice(0, k.indexOf("{"))));
      check(!unknown.length, `names that the plugin does not have: ${unknown}`);
      for (const name of ["rabbitmq_queues", "rabbitmq_connections", "rabbitmq_process_max_fds", "rabbitmq_resident_memory_limit_bytes", "rabbitmq_disk_space_available_limit_bytes", "rabbitmq_alarms_memory_used_watermark", "rabbitmq_alarms_free_disk_space_watermark", "rabbitmq_erlang_processes_limit"])
        check(all.get(`${name}{}`) === theirs.get(`${name}{}`), `${name}: ${all.get(`${name}{}`)}, exported ${theirs.get(`${name}{}`)}`);
      const memory = all.get("rabbitmq_process_resident_memory_bytes{}") / theirs.get("rabbitmq_process_resident_memory_bytes{}");
      check(memory > 0.7 && memory < 1.4, `memory is ${memory} of theirs`);
      check((await value('rabbitmq_running{probe="rabbit"}')) === 1, "running");
      await rabbit.call("DELETE", "queues/%2F/idle");
      await until("the series of a queue that was deleted end", async () => (await w.query('rabbitmq_queue_messages{probe="rabbit",queue="idle"}')).length === 0, 15000);
      check((await value('rabbitmq_queue_messages{probe="rabbit",queue="busy"}')) === 7, "the other stays");
    },
  ],
  [
    "nginx: what it took and never served is counted",
    async () => {
      check((await value('tocsin_nginx_connections_dropped_total{probe="nginx"}')) === 0, "drops before");
      check((await value('nginx_connections_active{probe="nginx"}')) >= 1, "active");
      // 64 connections is all this nginx may have; those above are taken and closed. Each has begun a
      // request, and not all at once: nginx would close one that has not to make room.
      const full = () => /worker_connections are not enough/.test(readFileSync(`${w.dir}/nginx-status/logs/error.log`, "utf8"));
      await until("nginx to say that it is full", () => {
        const s = connect(nginx.port, "127.0.0.1").on("error", () => {});
        s.write("GET / HTTP/1.1\r\n");
        held.push(s);
        return full();
      });
      for (const s of held) s.destroy();
      await until("drops", async () => (await value('tocsin_nginx_connections_dropped_total{probe="nginx"}')) > 0);
      const total = (await fetchText(nginx.url)).text.match(/(\d+) (\d+) \d+ \n/);
      check(Number(total[1]) > Number(total[2]), "nginx's own figures");
    },
  ],
  [
    "NATS tells its monitoring port",
    async () => {
      await until("connections", async () => (await value('gnatsd_varz_connections{probe="nats"}')) === 0);
      const client = connect(nats.port, "127.0.0.1").on("error", () => {});
      client.write('CONNECT {"user":"u","pass":"right","verbose":false}\r\nPUB a 1\r\nx\r\nPING\r\n');
      await until("one client and its message", async () => (await value('gnatsd_varz_connections{probe="nats"}')) === 1 && (await value('gnatsd_varz_in_msgs{probe="nats"}')) === 1);
      client.destroy();
    },
  ],
  [
    "killed, the numbers end",
    async () => {
      servers.signal(haproxy.child, "SIGKILL");
      await failed("socket", "refused");
      await until("no number is left", async () => (await w.query('{__name__=~"haproxy_.*"}')).length === 0);
      check((await value('nginx_connections_active{probe="nginx"}')) >= 1, "those of others stay");
    },
  ],
]);
await w.close();
