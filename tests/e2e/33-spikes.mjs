// SPDX-License-Identifier: Apache-2.0
// What is shorter than a frame is still seen: 100 ms spikes of the accept queue show in the _max
// series, 20 of 20 (SPIKES to change). And connections that are turned away page at once.

import { connect } from "node:net";
import { World, check, freePort, now, run, sleep, until } from "./world.mjs";

const spikes = Number(process.env.SPIKES ?? 20);
const w = new World();

await run([
  [
    `${spikes} spikes of 100 ms in an accept queue between frames`,
    async () => {
      await w.collector();
      await w.agent();
      const port = await freePort();
      // A listener that is stopped and continued: what connects meanwhile waits in its accept queue.
      const child = w.spawn("queue", process.execPath, ["-e", `require("net").createServer((s) => s.destroy()).listen({port: ${port}, host: "127.0.0.1", backlog: 64})`]);
      await until("the listener", () => new Promise((r) => connect(port, "127.0.0.1").on("connect", function () { this.destroy(); r(true); }).on("error", () => r(false))));
      await until("its series", async () => (await w.query(`tocsin_service_accept_queue_length_max{port="${port}"}`)).length);
      let seen = 0;
      for (let i = 0; i < spikes; i++) {
        const depth = 3 + (i % 5);
        child.kill("SIGSTOP");
        const socks = Array.from({ length: depth }, () => connect(port, "127.0.0.1").on("error", () => {}));
        await sleep(100);
        child.kill("SIGCONT");
        await sleep(1700 + Math.random() * 500);
        socks.forEach((s) => s.destroy());
        const v = await w.query(`max_over_time(tocsin_service_accept_queue_length_max{port="${port}"}[3s])`);
        if (v.length && Number(v[0].value[1]) >= depth) seen++;
        await sleep(1500);
      }
      console.log(`      seen ${seen} of ${spikes}`);
      check(seen === spikes, `${seen} of ${spikes}`);
    },
  ],
  [
    "connections dropped at a full accept queue page at once",
    async () => {
      const port = await freePort();
      w.spawn("full", "python3", ["-c", `import socket, time; s = socket.create_server(("127.0.0.1", ${port}), backlog=2); time.sleep(60)`]);
      await until("its series", async () => (await w.query(`tocsin_service_listen_drops_total{port="${port}"}`)).length);
      const begun = now();
      const socks = Array.from({ length: 8 }, () => connect(port, "127.0.0.1").on("error", () => {}));
      const page = await w.hook((h) => h.body.alerts?.some((a) => a.labels.alertname === "ConnectionsDropped" && a.labels.port === String(port)), begun, 8000);
      socks.forEach((s) => s.destroy());
      check(page, "no page");
      console.log(`      first connection to page: ${(page.at - begun).toFixed(0)} ms`);
      check(page.at - begun < 700, "not at once: a tick is a second");
    },
  ],
]);
await w.close();
