// SPDX-License-Identifier: Apache-2.0
// StatsD over UDP and a UNIX socket: what statsd_exporter would show, several programs at once, losses
// counted to the last datagram, series that go silent, a reload.

import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { World, check, cpuSeconds, freePort, root, run, until } from "./world.mjs";

const w = new World();
let port;
let agent;
const path = join(w.dir, "statsd.sock");
const datagram = join(w.dir, "datagram");
const socket = createSocket("udp4");
const send = (text, to = port) => new Promise((resolve, reject) => socket.send(text, to, "127.0.0.1", (e) => (e ? reject(e) : resolve())));
const overUnix = (text, times = 1) => execFileSync(datagram, [path, String(times)], { input: text });
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const is = (expr, want) => until(`${expr} to be ${want}`, async () => (await value(expr)) === want, 10000);
const bad = async (reason) => (await value(`tocsin_agent_statsd_bad_lines_total{reason="${reason}"}`)) || 0;

await run([
  [
    "counters, gauges, timers and sets have the names and values statsd_exporter gives them",
    async () => {
      execFileSync(process.env.CC ?? "gcc", ["-O2", "-Wall", "-Wextra", "-o", datagram, join(root, "tests/e2e/datagram.c")]);
      port = await freePort();
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      agent = await w.agent({ config: `statsd: {listen: "127.0.0.1:${port}", socket: "${path}", age: 5m}\n` });
      await is('tocsin_agent_statsd_listening{socket="udp"}', 1);
      await is('tocsin_agent_statsd_listening{socket="unix"}', 1);
      await send("shop.orders:1|c\nshop.orders:2|c|@0.5\nshop.orders:3|c|#site:fra,tier:web\nshop.orders:4|c|#tier:web,site:fra\n");
      await send("shop-queue.length:7|g\nshop-queue.length:+5|g\nshop-queue.length:-2|g\ntemp:-3.5|g\ntemp:10|g");
      await send("shop.wait:250|ms\nshop.wait:500|ms|@0.5\nshop.wait:1000:2000|ms\nsize:3|h\nsize:5|d");
      await send("users:ann|s\nusers:bob|s\nusers:ann|s\r\n9lives,cat=tom:9|c\nlib#a=b:1|c\nfx[q=r]:1|c");
      await is('shop_orders{job="statsd",site="",tier=""}', 5);
      await is('shop_orders{site="fra",tier="web"}', 7);
      await is("shop_queue_length", 10);
      await is("temp", 10);
      await is("histogram_count(shop_wait)", 5);
      check(Math.abs((await value("histogram_sum(shop_wait)")) - 4.25) < 1e-9, "sum of the timer, in seconds");
      const p = await value("histogram_quantile(1, shop_wait)");
      check(p >= 2 && p < 2.1, `the longest is ${p}`);
      await is("histogram_sum(size)", 8);
      await is('_9lives{cat="tom"}', 9);
      await is('lib{a="b"}', 1);
      await is('fx{q="r"}', 1);
      await until("members of the last whole span of 10 s", async () => (await value("users")) === 2, 20000);
    },
  ],
  [
    "a UNIX socket is the same door; what is no line is counted by reason",
    async () => {
      overUnix("shop.orders:10|c\nvia.unix:1|c", 100);
      await is('shop_orders{site="",tier=""}', 1005);
      await is("via_unix", 100);
      await send("nothing\nx:1|c|#a:b,broken\nx:abc|g\nx:1|q\n_e{1,1}:a|b\nx:-1|c\nshop.orders:1|g\n");
      await until("reasons", async () => (await bad("malformed_line")) >= 1 && (await bad("malformed_tag")) >= 1 && (await bad("malformed_value")) >= 1 && (await bad("unknown_type")) >= 1 && (await bad("unsupported")) >= 1 && (await bad("negative")) >= 1 && (await bad("type_conflict")) >= 1);
      await is('shop_orders{site="",tier=""}', 1005);
    },
  ],
  [
    "what the kernel had no room for is counted to the last datagram",
    async () => {
      const got = await value("tocsin_agent_statsd_datagrams_total");
      const lost = await value("tocsin_agent_statsd_kernel_drops_total");
      agent.kill("SIGSTOP");
      const n = 20000;
      for (let i = 0; i < n; i += 100) await Promise.all(Array.from({ length: 100 }, () => send("flood:1|c|#some:tags,that:fill,the:buffer")));
      agent.kill("SIGCONT");
      const sum = async () => (await value("tocsin_agent_statsd_datagrams_total")) - got + (await value("tocsin_agent_statsd_kernel_drops_total")) - lost;
      await until(`${n} datagrams, taken or lost`, async () => (await sum()) === n, 20000);
      const drops = (await value("tocsin_agent_statsd_kernel_drops_total")) - lost;
      check(drops > 0, "nothing was dropped: the test is none");
      await is("flood", n - drops);
    },
  ],
  [
    "50,000 lines of 500 series: sums exact, within a small part of a core",
    async () => {
      const cpu = cpuSeconds(agent.pid);
      for (let i = 0; i < 1000; i++) {
        const lines = Array.from({ length: 50 }, (_, k) => `load.test:1|c|#n:${(i * 50 + k) % 500},kind:counter`).join("\n");
        await send(lines);
        if (i % 250 === 249) await until("the agent to keep up", async () => (await value("sum(load_test)")) === (i + 1) * 50, 20000, 5);
      }
      await is("sum(load_test)", 50000);
      await is("count(load_test)", 500);
      const us = ((cpuSeconds(agent.pid) - cpu) / 50000) * 1e6;
      console.log(`      ${us.toFixed(2)} us CPU a line, the rest of the agent included`);
      check(us < 20, `${us} us a line`);
    },
  ],
  [
    "a series that is silent ends, and a reload moves the door",
    async () => {
      const next = await freePort();
      const file = join(w.dir, "agent.yaml");
      writeFileSync(file, readFileSync(file, "utf8").replace(`127.0.0.1:${port}`, `127.0.0.1:${next}`).replace("age: 5m", "age: 10s"));
      agent.kill("SIGHUP");
      await until("the new door", async () => {
        await send("moved:1|g", next);
        return (await value("moved")) === 1;
      });
      await is("count(load_test) or vector(0)", 0); // they were the old door's
      await send("stays:1|g", next);
      await is("stays", 1);
      await until("the silent ones to end", async () => {
        await send("stays:1|g", next);
        return (await w.query("moved")).length === 0;
      }, 30000, 500);
      await is("stays", 1);
      writeFileSync(file, readFileSync(file, "utf8").replace(/statsd:.*\n/, ""));
      agent.kill("SIGHUP");
      await until("no door", async () => (await w.query("stays")).length === 0 && (await w.query("tocsin_agent_statsd_listening")).length === 0);
    },
  ],
]);
socket.close();
await w.close();
