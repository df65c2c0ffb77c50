// SPDX-License-Identifier: Apache-2.0
// Kafka probes beside librdkafka's mock cluster (Debian has no broker): up with brokers, partitions, replicas
// and leaders, what consumer groups lag (tocsin-probe-kafka as a plugin), slow, hanging, down, refusing,
// mistaken for something else.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { World, bin, check, freePort, root, run, until } from "./world.mjs";

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 15000);

const program = join(w.dir, "kafka_mock");
const silent = createServer((s) => s.on("error", () => {}));
const banner = createServer((s) => s.on("error", () => {}).write("220 mail ready\r\n"));
const huge = createServer((s) => s.on("error", () => {}).on("data", () => s.write(Buffer.from([0x7f, 255, 255, 255, 0, 0, 0, 0]))));
let mock;
const waiting = [];
const order = (line) => new Promise((resolve, reject) => {
  waiting.push((answer) => (answer === "ok" ? resolve() : reject(new Error(answer))));
  mock.stdin.write(line + "\n");
});
let brokers;

await run([
  [
    "the cluster is up, and tells its brokers, partitions and replicas",
    async () => {
      execFileSync("cc", ["-O1", "-o", program, join(root, "tests/e2e/kafka_mock.c"), "-lrdkafka"]);
      mock = spawn(program, { stdio: ["pipe", "pipe", "ignore"] });
      brokers = await new Promise((resolve) => {
        createInterface({ input: mock.stdout }).on("line", (line) => (waiting.length ? waiting.shift()(line) : resolve(line)));
      });
      for (const s of [silent, banner, huge]) await new Promise((r) => s.listen(0, "127.0.0.1", r));
      await order("produce orders 0 50");
      await order("produce orders 1 30");
      await order("commit billing orders 0 20");
      await order("commit billing orders 1 30");
      const [first, second] = brokers.split(",");
      const at = (s) => `127.0.0.1:${s.address().port}`;
      const q = (name, target) => `  - {name: ${name}, kafka: "${target}", every: 250ms, timeout: 1s}\n`;
      const lag = (name, of) => `  - {name: ${name}, command: [${join(bin, "tocsin-probe-kafka")}, --brokers, "${of}", --group, billing, --timeout, 3s], format: lines, every: 1s, timeout: 5s}\n`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({
        config: "probes:\n" + q("one", first) + q("two", second) + q("silent", at(silent)) + q("banner", at(banner)) + q("huge", at(huge)) + q("nobody", `127.0.0.1:${await freePort()}`) + "exec:\n" + lag("lag", brokers),
      });
      for (const name of ["one", "two"]) await up(name);
      await until("brokers", async () => (await value('kafka_brokers{probe="one"}')) === 2);
      check((await value('kafka_topic_partitions{probe="one",topic="orders"}')) === 2, "partitions");
      check((await value('sum(kafka_topic_partition_replicas{probe="one",topic="orders"})')) === 4, "replicas");
      check((await value('sum(kafka_topic_partition_in_sync_replica{probe="one",topic="orders"})')) === 4, "in sync");
      check((await value('tocsin_kafka_under_replicated_partitions{probe="one"}')) === 0, "under-replicated");
      check((await value('tocsin_kafka_leaderless_partitions{probe="one"}')) === 0, "leaderless");
    },
  ],
  [
    "what a consumer group lags is told, and follows",
    async () => {
      const lag = (partition) => value(`kafka_consumergroup_lag{consumergroup="billing",topic="orders",partition="${partition}"}`);
      await until("lag", async () => (await lag(0)) === 30 && (await lag(1)) === 0, 20000);
      check((await value('kafka_topic_partition_current_offset{topic="orders",partition="0"}')) === 50, "end");
      await order("produce orders 0 5");
      await order("commit billing orders 1 10");
      await until("lag follows", async () => (await lag(0)) === 35 && (await lag(1)) === 20, 20000);
      const bad = spawnSync(join(bin, "tocsin-probe-kafka"), ["--brokers", "127.0.0.1:1", "--group", "g", "--timeout", "500ms"], { encoding: "utf8" });
      check(bad.status === 1 && bad.stdout === "" && /metadata/.test(bad.stderr), JSON.stringify(bad));
      check(spawnSync(join(bin, "tocsin-probe-kafka"), ["--group", "g"]).status === 2, "usage");
    },
  ],
  [
    "silence, another protocol, an answer too long and nobody are told apart",
    async () => {
      await failed("silent", "timeout");
      await failed("banner", "protocol");
      await failed("huge", "protocol");
      await failed("nobody", "refused");
    },
  ],
  [
    "a slow, a hanging and a dead broker delay no other; one that comes back is up again",
    async () => {
      await order("rtt 1 300");
      await until("it is slow", async () => (await value('probe_duration_seconds{probe="one"}')) > 0.29, 20000);
      check((await success("one")) === 1 && (await value('probe_duration_seconds{probe="two"}')) < 0.2, "the other one");
      await order("rtt 1 2000");
      await failed("one", "timeout");
      check((await success("two")) === 1 && (await value('max(tocsin_probe_start_lag_seconds_max)')) < 0.5, "starts are late");
      await order("rtt 1 0");
      await up("one");
      await order("down 1");
      await until("it is down", async () => (await success("one")) === 0);
      await order("up 1");
      await up("one");
      mock.kill("SIGSTOP");
      for (const name of ["one", "two"]) await failed(name, "timeout");
      mock.kill("SIGKILL");
      for (const name of ["one", "two"]) await failed(name, "refused");
      await until("the numbers end", async () => (await w.query('kafka_brokers{probe="one"}')).length === 0, 20000);
    },
  ],
]);
mock.kill("SIGKILL");
for (const s of [silent, banner, huge]) s.close();
await w.close();
