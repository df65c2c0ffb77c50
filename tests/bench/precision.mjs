// SPDX-License-Identifier: Apache-2.0
// Planned work must page nobody: graceful restarts and reloads of nginx and redis, then an idle host
// with a CPU hog on every core. Starter rules, with probes on both services.
//
//     sh tests/bench/precision.sh [restarts, 100] [idle seconds, 3600]

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { World, freePort, sleep, until } from "../e2e/world.mjs";

const restarts = Number(process.argv[2] ?? 100);
const idle = Number(process.argv[3] ?? 3600);
const w = new World();
const pages = () => w.pages(0);

try {
  await w.collector();
  let nginx = await w.nginx();
  const port = await freePort();
  const dir = join(w.dir, "redis");
  mkdirSync(dir);
  const redis = async () => {
    const c = w.spawn("redis", "redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""]);
    await until("redis", () => execFileSync("redis-cli", ["-p", String(port), "ping"], { stdio: "pipe" }).toString().includes("PONG"));
    return c;
  };
  let r = await redis();
  await w.agent({ config: `probes:\n  - {name: web, http: "http://127.0.0.1:${nginx.port}/"}\n  - {name: redis, tcp: "127.0.0.1:${port}"}\n` });
  await sleep(12000);
  for (let i = 0; i < restarts; i++) {
    if (i % 4 === 3) {
      process.kill(nginx.child.pid, "SIGHUP");
    } else if (i % 2) {
      r.kill("SIGTERM");
      await r.gone;
      r = await redis();
    } else {
      process.kill(nginx.child.pid, "SIGQUIT");
      await nginx.child.gone;
      nginx = await w.nginx({ port: nginx.port });
    }
    await sleep(300 + Math.random() * 1200);
  }
  await sleep(3000);
  console.log(`${restarts} graceful restarts and reloads: ${pages().length} messages`, pages());
  w.hooks.length = 0;
  for (let i = 0; i < cpus().length; i++) w.spawn(`hog${i}`, "sh", ["-c", "while :; do :; done"]);
  for (let s = 0; s < idle; s += 60) {
    await sleep(Math.min(60, idle - s) * 1000);
    if (process.stdout.isTTY) process.stdout.write(`\r${s} s of ${idle} s, ${pages().length} messages`);
  }
  console.log(`${idle} s idle with a CPU hog on ${cpus().length} cores: ${pages().length} messages`, pages());
} finally {
  await w.close();
}
process.exit();
