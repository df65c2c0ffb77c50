// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry over HTTP: bodies the SDK for JavaScript 2.8 sent to a listener (tests/e2e/otlp), who may send,
// what is too much, a reload.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { World, check, fetchText, freePort, privateKiB, root, run, until } from "./world.mjs";

const w = new World();
let port;
let agent;
const file = (name) => readFileSync(join(root, "tests/e2e/otlp", name));
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const is = (expr, want) => until(`${expr} to be ${want}`, async () => Math.abs((await value(expr)) - want) < 1e-9, 10000);
const post = (body, headers = {}, { path = "/v1/metrics", method = "POST", at = port, chunked = false } = {}) =>
  new Promise((resolve, reject) => {
    const q = request({ host: "127.0.0.1", port: at, path, method, agent: false, headers: { "content-type": "application/x-protobuf", ...(chunked ? {} : { "content-length": body.length }), ...headers } }, (r) => {
      const c = [];
      r.on("data", (d) => c.push(d));
      r.on("end", () => resolve({ status: r.statusCode, headers: r.headers, body: Buffer.concat(c), text: Buffer.concat(c).toString() }));
    });
    q.on("error", reject);
    q.end(body);
  });

// Just enough protobuf to make what an SDK does not send.
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(Math.floor(n / 128))]);
const bytes = (field, data) => Buffer.from([...varint(field * 8 + 2), ...varint(data.length), ...data]);
const double = (field, v) => {
  const b = Buffer.alloc(8);
  b.writeDoubleLE(v);
  return Buffer.concat([Buffer.from(varint(field * 8 + 1)), b]);
};
const text = (field, s) => bytes(field, Buffer.from(s));
const kv = (k, v) => Buffer.concat([text(1, k), bytes(2, text(1, v))]);
const gauge = (name, v, labels = {}) => Buffer.concat([text(1, name), bytes(5, bytes(1, Buffer.concat([double(4, v), ...Object.entries(labels).map(([k, x]) => bytes(7, kv(k, x)))])))]);
const sumWithoutTemporality = (name, v) => Buffer.concat([text(1, name), bytes(7, bytes(1, double(4, v)))]);
const body = (...metrics) => bytes(1, bytes(2, Buffer.concat(metrics.map((m) => bytes(2, m)))));

await run([
  [
    "bodies of a real SDK become the series Prometheus would have",
    async () => {
      port = await freePort();
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      agent = await w.agent({ config: `otlp: {listen: "127.0.0.1:${port}", resource_attributes: [deployment.environment], series_limit: 300}\n` });
      await is("tocsin_agent_otlp_listening", 1);
      const r = await post(file("cumulative-1.bin"), {}, { chunked: true });
      check(r.status === 200 && r.body.length === 0 && r.headers["content-type"] === "application/x-protobuf", `${r.status} ${r.text}`);
      const job = 'job="shop/cart",exported_instance="i-1",deployment_environment="test"';
      await is(`shop_orders_total{${job},payment_method="card"}`, 3);
      await is(`shop_orders_total{${job},payment_method="cash"}`, 2);
      await is(`shop_open_carts{${job}}`, 3);
      await is(`shop_temperature_celsius{${job},room="cellar"}`, 21.5);
      for (const [le, n] of [["0.1", 1], ["0.5", 3], ["1", 4], ["5", 5], ["+Inf", 6]]) await is(`shop_checkout_duration_seconds_bucket{${job},le="${le}"}`, n);
      await is(`shop_checkout_duration_seconds_count{${job},kind="web"}`, 6);
      await is(`shop_checkout_duration_seconds_sum{${job}}`, 10.25);
    },
  ],
  [
    "differences are added up, gzip is unpacked, exponential histograms are native",
    async () => {
      for (const name of ["delta-1.bin.gz", "delta-2.bin.gz"]) {
        const r = await post(file(name), { "content-encoding": "gzip" });
        check(r.status === 200 && r.body.length === 0, `${r.status} ${r.text}`);
      }
      const job = 'job="shop/till"';
      await is(`shop_orders_total{${job},payment_method="card"}`, 7);
      await is(`shop_orders_total{${job},payment_method="cash"}`, 2);
      await is(`histogram_count(shop_checkout_duration_seconds{${job}})`, 7);
      await is(`histogram_sum(shop_checkout_duration_seconds{${job}})`, 10.45);
      const q = await value(`histogram_quantile(1, shop_checkout_duration_seconds{${job}})`);
      check(q >= 7 && q < 7.4, `the longest is ${q}`);
    },
  ],
  [
    "the same SDK's bodies of JSON are the same series, and answered in JSON",
    async () => {
      const json = { "content-type": "application/json" };
      for (const [name, more] of [["cumulative.json", {}], ["delta.json.gz", { "content-encoding": "gzip" }]]) {
        const r = await post(file(name), { ...json, ...more });
        check(r.status === 200 && r.text === "{}" && r.headers["content-type"] === "application/json", `${r.status} ${r.text}`);
      }
      const job = 'job="shop/web",exported_instance="i-2",deployment_environment="test"';
      await is(`shop_orders_total{${job},payment_method="card"}`, 3);
      await is(`shop_open_carts{${job}}`, 3);
      await is(`shop_temperature_celsius{${job},room="cellär",floor="-1",wet="true"}`, 21.5);
      for (const [le, n] of [["0.1", 1], ["0.5", 3], ["1", 4], ["5", 5], ["+Inf", 6]]) await is(`shop_checkout_duration_seconds_bucket{${job},le="${le}"}`, n);
      await is(`shop_checkout_duration_seconds_sum{${job}}`, 10.45);
      await is('histogram_count(shop_checkout_duration_seconds{job="shop/kiosk"})', 6);
      await is('shop_orders_total{job="shop/kiosk",payment_method="cash"}', 2);
      const wrong = await post(Buffer.from('{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"odd","gauge":{"dataPoints":[{"attributes":[]}]}}]}]}]}'), json);
      check(JSON.parse(wrong.text).partialSuccess.rejectedDataPoints === "1", wrong.text);
    },
  ],
  [
    "what has no place is told the sender with its reason, the rest counts",
    async () => {
      const r = await post(body(gauge("good", 1), sumWithoutTemporality("odd", 2), gauge("@#", 3)));
      check(r.status === 200 && r.body[0] === 0x0a, `${r.status} ${r.text}`);
      check(/odd: neither delta nor cumulative/.test(r.text), r.text);
      await is("good", 1);
      await is("tocsin_agent_otlp_rejected_points_total", 3);
    },
  ],
  [
    "more series than the limit go on as others, and the agent lives",
    async () => {
      const many = Array.from({ length: 1000 }, (_, i) => gauge("cells", 1, { cell: `c${i}` }));
      check((await post(body(...many))).status === 200, "taken");
      await until("others", async () => (await value("count(cells)")) > 100 && (await value('cells{other="true"}')) > 500);
      await is("sum(cells)", 1000);
      const hot = Array.from({ length: 50 }, (_, i) => gauge("cell_celsius", 20 + i, { cell: `c${i}` })); // make no sum
      check((await post(body(...hot))).status === 200, "taken");
      await is('tocsin_agent_intake_refused_total{source="otlp"}', 50);
      const a = await until("the alert", async () => JSON.parse((await fetchText(`${w.url}/api/v1/alerts`)).text).data.alerts.find((x) => x.labels.alertname === "IntakeRefused"));
      check(a.labels.source === "otlp" && /5\d samples from otlp/.test(a.annotations.summary) && /series_limit/.test(a.annotations.description), JSON.stringify(a));
    },
  ],
  [
    "each thing that is wrong has its answer",
    async () => {
      const b = file("cumulative-1.bin");
      const expect = async (want, r) => check((await r).status === want, `${(await r).status} for ${want}: ${(await r).text}`);
      const json = { "content-type": "application/json; charset=utf-8" };
      const status = async (want, code, text, r) => {
        const { status: got, text: said, headers } = await r;
        check(got === want && headers["content-type"] === "application/json" && JSON.parse(said).code === code && text.test(said), `${got} for ${want}: ${said}`);
      };
      await status(415, 12, /gzip/, post(b, { ...json, "content-encoding": "br" }));
      await status(400, 3, /byte 0/, post(Buffer.from("hello"), json));
      await status(400, 3, /`timeUnixNano`/, post(Buffer.from('{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"timeUnixNano":"soon"}]}}]}]}]}'), json));
      await status(404, 5, /v1.metrics/, post(b, json, { path: "/v1/traces" }));
      await status(413, 8, /100000 values/, post(Buffer.from(`{"a":[0${",0".repeat(1 << 20)}]}`), json));
      await expect(415, post(b, { "content-type": "text/plain" }));
      await expect(415, post(b, { "content-encoding": "br" }));
      await expect(400, post(b, { "content-encoding": "gzip" }));
      await expect(400, post(Buffer.from("hello")));
      await expect(404, post(b, {}, { path: "/v1/traces" }));
      await expect(405, post(Buffer.alloc(0), {}, { method: "GET" }));
      await expect(403, post(b, { host: "evil.example" }));
      await expect(403, post(b, { origin: "http://evil.example" }));
      // By curl: it reads an answer that comes before its body is through.
      w.put("large", Buffer.alloc(5 << 20));
      w.put("bomb", gzipSync(Buffer.alloc(64 << 20)));
      const curl = (name, ...headers) =>
        Number(execFileSync("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", ...["Content-Type: application/x-protobuf", "Expect:", ...headers].flatMap((h) => ["-H", h]), "--data-binary", `@${join(w.dir, name)}`, `http://127.0.0.1:${port}/v1/metrics`]));
      check(curl("large") === 413, "a length that is too large");
      check(curl("large", "Transfer-Encoding: chunked") === 413, "a body that never ends");
      check(curl("bomb", "Content-Encoding: gzip") === 413, "a body that grows");
      await until("answers counted", async () => (await value('tocsin_agent_otlp_requests_total{code="415"}')) === 3 && (await value('tocsin_agent_otlp_requests_total{code="413"}')) === 4);
      const before = privateKiB(agent.pid);
      for (let i = 0; i < 20; i++) curl("bomb", "Content-Encoding: gzip");
      check(privateKiB(agent.pid) < before + 2048, `memory ${before} KiB, then ${privateKiB(agent.pid)}`);
      await is("good", 1);
    },
  ],
  [
    "off loopback a token is demanded; without one the file is refused",
    async () => {
      const path = join(w.dir, "agent.yaml");
      const token = w.put("otlp.token", "s3cret\n", 0o600);
      const text0 = readFileSync(path, "utf8");
      const next = await freePort();
      writeFileSync(path, text0.replace(/otlp:.*\n/, `otlp: {listen: "0.0.0.0:${next}"}\n`));
      agent.kill("SIGHUP");
      await until("the refusal", () => /config_rejected.*token_file/.test(w.log(agent)));
      check((await post(file("cumulative-1.bin"))).status === 200, "the old one is in force");
      writeFileSync(path, text0.replace(/otlp:.*\n/, `otlp: {listen: "0.0.0.0:${next}", token_file: ${token}, insecure_plaintext: true}\n`));
      agent.kill("SIGHUP");
      await until("the new port", async () => (await post(body(gauge("secret", 1)), { authorization: "Bearer s3cret" }, { at: next })).status === 200);
      await is("secret", 1);
      const none = await post(body(gauge("secret", 2)), {}, { at: next });
      check(none.status === 401 && /Bearer/.test(none.headers["www-authenticate"]), `${none.status}`);
      check((await post(body(gauge("secret", 2)), { authorization: "Bearer wrong" }, { at: next })).status === 401, "a wrong token");
      writeFileSync(path, text0.replace(/otlp:.*\n/, ""));
      agent.kill("SIGHUP");
      await until("no port", async () => (await post(body(gauge("secret", 2)), {}, { at: next }).catch(() => null)) === null);
      await until("no series", async () => (await w.query("secret")).length === 0 && (await w.query("tocsin_agent_otlp_listening")).length === 0);
    },
  ],
]);
await w.close();
