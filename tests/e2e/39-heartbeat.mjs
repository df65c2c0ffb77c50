// SPDX-License-Identifier: Apache-2.0
// Heartbeats: they come signed and in step, stay away while the thread of the rules hangs or the journal
// cannot be written, go on when that is over and after a kill -9, and follow a reload.

import { createHmac } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { World, check, fetchText, now, root, run, sleep, until } from "./world.mjs";

const key = Buffer.from("a key of twenty-four bytes or more");

// A watcher that keeps what it was sent, byte by byte.
async function watcher() {
  const beats = [];
  const server = createServer((q, r) => {
    const chunks = [];
    q.on("data", (d) => chunks.push(d));
    q.on("end", () => {
      beats.push({ at: now(), method: q.method, path: q.url, headers: q.headers, text: Buffer.concat(chunks).toString() });
      r.writeHead(to.status, to.status === 302 ? { location: "/elsewhere" } : {}).end();
    });
  });
  await new Promise((r) => server.listen(0, "127.0.0.1", r));
  const to = { beats, status: 200, url: `http://127.0.0.1:${server.address().port}` };
  to.on = (path) => beats.filter((b) => b.path === path);
  to.close = () => (server.closeAllConnections(), server.close());
  return to;
}

async function world({ every = "10s" } = {}) {
  const w = new World();
  w.watcher = await watcher();
  w.secret = w.put("secret", `whsec_${key.toString("base64")}\n`, 0o600);
  w.rules = w.put("rules.yaml", "groups:\n  - name: g\n    interval: 1s\n    rules: [{alert: Never, expr: 'vector(0) > 1'}]\n");
  w.extra = (post = "/post") => `heartbeats:
  - {name: post, url: "${w.watcher.url}${post}", every: ${every}, secret_file: ${w.secret}}
  - {name: get, url: "${w.watcher.url}/get", every: ${every}, method: GET, http_config: {authorization: {credentials: t}}}
`;
  w.start = async () => (w.process = await w.collector({ rules: [w.rules], extra: w.extra() }));
  w.status = async () => JSON.parse((await fetchText(`${w.url}/api/v1/status/tocsin`)).text).data;
  const close = w.close.bind(w);
  w.close = async () => {
    try {
      await close();
    } finally {
      w.watcher.close(); // also when the folder is still mounted
    }
  };
  return w;
}

await run([
  [
    "they come in step, a POST signed, a GET bare; a reload moves one; a restart goes on",
    async () => {
      const w = await world();
      await w.start();
      await until("two of each", () => w.watcher.on("/post").length >= 2 && w.watcher.on("/get").length >= 2, 30000);
      const [one, two] = w.watcher.on("/post");
      const apart = two.at - one.at;
      check(apart > 9000 && apart < 12000, `${apart} ms apart`);
      const text = `${one.headers["webhook-id"]}.${one.headers["webhook-timestamp"]}.${one.text}`;
      check(one.method === "POST" && one.headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(text).digest("base64")}`, JSON.stringify(one));
      check(one.headers["webhook-id"] !== two.headers["webhook-id"], "one id twice");
      const d = JSON.parse(two.text);
      check(d.ok === true && d.type === "tocsin.heartbeat" && d.name === "post" && d.rules.total >= 1 && d.evaluated_ago_ms < 5000 && d.journal === "ok" && d.uptime_ms > 9000 && d.samples > 0 && d.heartbeats.sent >= 1, two.text);
      const [get] = w.watcher.on("/get");
      check(get.method === "GET" && get.text === "" && get.headers.authorization === "Bearer t" && !get.headers["content-type"] && !get.headers["webhook-id"], JSON.stringify(get));
      check(/tocsin_heartbeat_sent_total\{name="post"\} [23]\n/.test((await fetchText(`${w.url}/metrics`)).text), "not counted");
      console.log(`      ${two.text}`);

      const file = join(w.dir, "collector.yaml");
      w.put("collector.yaml", readFileSync(file, "utf8").replace("/post", "/moved"));
      const begun = now();
      check((await fetchText(`${w.url}/-/reload`, { method: "POST" })).status === 200, w.log(w.process));
      await until("one at the new place", () => w.watcher.on("/moved").length, 5000);
      const posts = w.watcher.on("/post").length;
      check(now() - begun < 3000, "a changed one did not go at once");
      await until("a GET in step", () => w.watcher.on("/get").some((b) => b.at > begun), 12000);
      check(w.watcher.on("/post").length === posts, "it goes on at the old place");
      w.put("collector.yaml", readFileSync(file, "utf8").replace("every: 10s", "every: 1s"));
      const bad = await fetchText(`${w.url}/-/reload`, { method: "POST" });
      check(bad.status === 500 && /collector.yaml:\d+:\d+/.test(bad.text) && /`every` is 10s to 1h/.test(bad.text), bad.text);

      w.process.kill("SIGKILL");
      await w.process.gone;
      const from = now();
      await w.start();
      await until("one after the restart", () => w.watcher.on("/post").some((b) => b.at > from), 15000);
      check(JSON.parse(w.watcher.on("/post").at(-1).text).uptime_ms < 15000, "uptime");
      w.put("collector.yaml", readFileSync(file, "utf8").split("heartbeats:")[0]);
      check((await fetchText(`${w.url}/-/reload`, { method: "POST" })).status === 200, "reload");
      check((await w.status()).heartbeats.length === 0, "they are still shown");
      await w.close();
    },
  ],
  [
    "a redirect is not followed, a failed one is tried again sooner, and both are told",
    async () => {
      const w = await world({ every: "1h" });
      w.watcher.status = 302;
      await w.start();
      await until("three tries", () => w.watcher.on("/post").length >= 3, 15000);
      check(w.watcher.on("/elsewhere").length === 0, "it was followed");
      check((await w.status()).problems.some((p) => p.what === "heartbeat post does not get through: HTTP 302"), JSON.stringify((await w.status()).problems));
      w.watcher.status = 204;
      await until("it is well again", async () => (await w.status()).heartbeats.every((h) => h.sent === 1 && !h.failing_since_ms), 15000);
      const { heartbeats } = await w.status();
      check(heartbeats[0].failed >= 3 && /tocsin_heartbeat_failures_total\{name="post"\} [3-9]/.test((await fetchText(`${w.url}/metrics`)).text), JSON.stringify(heartbeats));
      check(!w.log(w.process).includes("/post"), "the log holds the path");
      await w.close();
    },
  ],
  [
    "the thread of the rules hangs: none goes; it goes on: one goes at once",
    async () => {
      const w = await world();
      const freeze = join(w.dir, "freeze");
      execFileSync("cc", ["-O1", "-o", freeze, join(root, "tests/e2e/freeze.c")]);
      await w.start();
      await until("the first", () => w.watcher.on("/post").length && w.watcher.on("/get").length, 15000);
      const tasks = `/proc/${w.process.pid}/task`;
      const shard = readdirSync(tasks).find((t) => readFileSync(`${tasks}/${t}/comm`, "utf8").includes("shard"));
      const ice = spawn(freeze, [shard], { stdio: ["pipe", "pipe", "inherit"] });
      const gone = new Promise((r) => ice.once("exit", r));
      const frozen = await Promise.race([new Promise((r) => ice.stdout.once("data", () => r(true))), gone.then(() => false)]);
      if (!frozen) {
        await w.close();
        return console.log("      may not trace: skipped");
      }
      const from = now();
      await until("both to be held", () => (w.log(w.process).match(/event=heartbeat_held/g) ?? []).length === 2, 20000);
      check(/the thread of the rules hangs/.test(w.log(w.process)), w.log(w.process));
      const count = w.watcher.beats.length;
      await sleep(11000); // an interval in which none may come
      check(w.watcher.beats.length === count, "one came while the rules hung");
      ice.stdin.end();
      await gone;
      const thawed = now();
      await until("both again", () => w.watcher.beats.length >= count + 2, 5000);
      console.log(`      held for ${((thawed - from) / 1000).toFixed(1)} s, back after ${((now() - thawed) / 1000).toFixed(1)} s`);
      await w.close();
    },
  ],
  [
    "a full disk: none goes, though nothing happens that would be written; with room they go on",
    async () => {
      if (process.getuid() !== 0) return console.log("      not root: no tmpfs");
      const w = await world();
      const state = join(w.dir, "collector");
      mkdirSync(state);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=600k", "tmpfs", state]);
      try {
        await w.start();
        await until("the first", () => w.watcher.on("/post").length && w.watcher.on("/get").length, 15000);
        execFileSync("sh", ["-c", `dd if=/dev/zero of=${state}/fill bs=1k 2>/dev/null; true`]);
        await until("both held", async () => (await w.status()).heartbeats.every((h) => h.held === "the journal of alerts cannot be written"), 60000, 200);
        const count = w.watcher.beats.length;
        await sleep(11000);
        check(w.watcher.beats.length === count, "one came");
        execFileSync("rm", [`${state}/fill`]);
        await until("both again", () => w.watcher.beats.length >= count + 2, 10000);
      } finally {
        await w.close().catch(() => {});
        execFileSync("umount", ["-l", state]);
      }
    },
  ],
]);
