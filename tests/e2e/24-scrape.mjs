// SPDX-License-Identifier: Apache-2.0
// Scrapes beside Prometheus itself: the same scrape_configs against the same recorded pages give the same
// series with the same values, and the same verdict on pages that are wrong. What Prometheus calls
// `instance` of a target is `target` here, since instance is the host.

import { createServer } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { World, check, fetchText, freePort, now, run, sleep, until } from "./world.mjs";

const w = new World();
const pages = new Map(); // path -> {type, body, status}
const asked = []; // {path, headers}
const OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT = "text/plain; version=0.0.4";
const PROTO = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
const alone = []; // ports of the agent at a server of its own
let server, lonely, base, prom;

async function serve() {
  server = createServer((q, r) => {
    const path = q.url.split("?")[0];
    const page = pages.get(path);
    asked.push({ path, url: q.url, headers: q.headers, port: q.socket.remotePort });
    if (!page) return r.writeHead(404).end("nothing here\n");
    if (page.hang) return undefined;
    const headers = { "content-type": page.type };
    let body = page.body;
    if (/gzip/.test(q.headers["accept-encoding"] ?? "")) {
      body = page.packed ??= gzipSync(body);
      headers["content-encoding"] = "gzip";
    }
    r.writeHead(page.status ?? 200, { ...headers, ...page.headers }).end(body);
    return undefined;
  });
  server.keepAliveTimeout = 60000;
  const port = await freePort();
  await new Promise((r) => server.listen(port, "127.0.0.1", r));
  base = `127.0.0.1:${port}`;
  lonely = createServer((q, r) => {
    if (q.headers["user-agent"] === "tocsin-agent") alone.push(q.socket.remotePort);
    r.writeHead(200, { "content-type": TEXT }).end("x 1\n");
  });
  lonely.keepAliveTimeout = 60000;
  await new Promise((r) => lonely.listen(0, "127.0.0.1", r));
  job("alone", "/", { static_configs: [{ targets: [`127.0.0.1:${lonely.address().port}`] }] });
}

const put = (path, type, body, more = {}) => pages.set(path, { type, body: Buffer.from(body), ...more });
const fetchBytes = async (url, accept) => {
  const r = await fetch(url, { headers: accept ? { accept } : {} });
  return { type: r.headers.get("content-type"), body: Buffer.from(await r.arrayBuffer()) };
};

// --- the two beside each other --------------------------------------------------------------------------

const jobs = []; // as both read them
const job = (name, path, more = {}) => jobs.push({ job_name: name, metrics_path: path, scrape_interval: "2s", scrape_timeout: "2s", static_configs: [{ targets: [base] }], ...more });

async function prometheus() {
  const port = await freePort();
  const known = jobs.map(({ scrape_protocols, series_limit, enable_compression, ...j }) => j); // 2.42 does not know these
  const config = w.put("prometheus.json.yml", JSON.stringify({ global: { scrape_interval: "1s" }, scrape_configs: known }));
  prom = `http://127.0.0.1:${port}`;
  w.spawn("prometheus", "prometheus", [`--config.file=${config}`, `--storage.tsdb.path=${w.dir}/prom`, `--web.listen-address=127.0.0.1:${port}`, "--enable-feature=native-histograms"]);
  await until("prometheus", async () => (await fetchText(`${prom}/-/ready`)).status === 200, 30000);
}

const instant = async (url, query) => {
  const r = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`);
  const j = await r.json();
  if (j.status !== "success") throw new Error(`${url} ${query}: ${j.error}`);
  return j.data.result;
};
const text = (labels) => Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(",");
const OWN = /^(up|scrape_.*|tocsin_.*)$/;

/** {labels: value} of a job's page, as Prometheus would have it. */
async function series(url, name) {
  const all = new Map();
  for (const s of await instant(url, `{job="${name}"}`)) {
    const l = { ...s.metric };
    if (OWN.test(l.__name__)) continue;
    if (url !== prom) {
      delete l.instance;
      if (l.target) l.instance = l.target;
      delete l.target;
    }
    all.set(text(l), JSON.stringify(s.histogram ? s.histogram[1] : s.value[1]));
  }
  return all;
}

function differences(ours, theirs) {
  const d = [];
  for (const [k, v] of theirs) if (ours.get(k) !== v) d.push(`${k}: Prometheus ${v}, here ${ours.get(k)}`);
  for (const [k, v] of ours) if (!theirs.has(k)) d.push(`${k}: only here, ${v}`);
  return d;
}

const created = (m) => new Map([...m].filter(([k]) => !/__name__="[a-z_]*_created"/.test(k)));

async function same(name, { least = 1, skipCreated = false, timeout = 20000 } = {}) {
  let d = ["nothing yet"];
  let n = 0;
  await until(name, async () => {
    let theirs = await series(prom, name);
    if (skipCreated) theirs = created(theirs);
    const ours = await series(w.url, name);
    d = theirs.size < least ? [`${theirs.size} series at Prometheus, ${ours.size} here`] : differences(ours, theirs);
    n = theirs.size;
    return d.length === 0;
  }, timeout, 200).catch(() => {
    throw new Error(`${name}: ${d.length} differences of ${n}\n${d.slice(0, 8).join("\n")}`);
  });
  return n;
}

const own = async (url, metric, name) => Number((await instant(url, `${metric}{job="${name}"}`)).at(-1)?.value[1]);

// --- pages ----------------------------------------------------------------------------------------------

const random = (() => {
  let s = 12345;
  return (n) => (s = (s * 1103515245 + 12345) & 0x7fffffff) % n;
})();
const pick = (...of) => of[random(of.length)];

function generated(lines) {
  const out = [];
  for (let family = 0; out.length < lines; family++) {
    const type = pick("counter", "gauge", "histogram", "summary", "untyped");
    const name = `gen_${family}_${pick("seconds", "bytes", "things", "ratio")}`;
    out.push(`# HELP ${name} Generated ${family}, with a \\\\ and a line\\nbreak.`, `# TYPE ${name} ${type}`);
    const value = () => pick(String(random(1e6)), (random(1e9) / 1000).toFixed(3), `${random(1000)}.5e-${random(12)}`, `${random(100)}e+${random(30)}`, "NaN", "+Inf", "-Inf", "0", "-0", "1e-320", "123456789012345678901");
    for (let i = 0; i < 40 && out.length < lines; i++) {
      const l = `path="/a/${i}\\\\${pick('\\"', "\\n", "ü", "日本", "")}",code="${200 + random(5)}",n="${i}"`;
      if (type === "histogram") {
        for (const le of ["0.005", "0.1", "1", "+Inf"]) out.push(`${name}_bucket{${l},le="${le}"} ${random(1000)}`);
        out.push(`${name}_sum{${l}} ${value()}`, `${name}_count{${l}} ${random(1000)}`);
      } else if (type === "summary") {
        for (const q of ["0.5", "0.99"]) out.push(`${name}{${l},quantile="${q}"} ${value()}`);
        out.push(`${name}_sum{${l}} ${value()}`, `${name}_count{${l}} ${random(1000)}`);
      } else {
        out.push(pick(`${name}{${l}} ${value()}`, `${name}{${l},} ${value()}`, `${name} { ${l} }  ${value()}`));
      }
    }
  }
  return `${out.slice(0, lines).join("\n")}\n`;
}

const RELABEL = ["alpha", "beta", "gamma"]
  .flatMap((a, i) => ["one", "TWO", "thrée", "x-y.z", "10.0.0.1:80", ""].map((b, k) => `metric_${a}{a="${a}",b="${b}",tmp_c="c${i}",tmp_d="${k}",n="${i * 10 + k}"} ${i * 10 + k}`))
  .concat(['plain 1', 'metric_alpha{job="inner",instance="inner:1",exported_job="deeper"} 77', 'metric_alpha{a="alpha",b="alpha",eq="alpha"} 78'])
  .join("\n");

/** A random rule of metric_relabel_configs; what could make two series one is left out. */
function rule() {
  const from = () => pick(["a"], ["b"], ["a", "b"], ["b", "a", "missing"], ["__name__"], ["n", "tmp_c"], ["tmp_d"], []);
  const regex = () => pick("(.*)", "([a-z]+)", "(.*);(.*)", "(?i)two", "metric_(.+)", "([^:]*):(\\d+)", ".*a.*", "(.)(.)?.*", "x-y\\.z", "", "one|TWO", "(?P<first>.)(?P<rest>.*)", "c[0-9]", "al.{3}");
  const to = () => pick("new", "other_label", "z_$1", "${1}_q", "tmp_e", "t_${rest}");
  const replacement = () => pick("$1", "${1}", "$2-$1", "fixed", "$1$2", "x${1}y", "$0", "$$1", "${first}", "", "a b ü");
  switch (random(12)) {
    case 0: return { action: "keep", source_labels: from(), regex: pick("metric_.*", ".*", "alpha|beta", ".+") };
    case 1: return { action: "drop", source_labels: from(), regex: pick("nothing", "gamma", "TWO", "c1;.*", "1") };
    case 2: return { action: pick("lowercase", "Uppercase"), source_labels: from(), target_label: pick("new", "cased") };
    case 3: return { action: "hashmod", source_labels: from(), modulus: pick(1, 2, 7, 1000, 4294967296), target_label: "shard" };
    case 4: return { action: "labelmap", regex: pick("tmp_(.+)", "(a|b)", "tmp_.*"), replacement: pick("mapped_$1", "m_${1}", "mapped") };
    case 5: return { action: "labeldrop", regex: pick("tmp_c", "tmp_.*", "eq|a", "missing") };
    case 6: return { action: "labelkeep", regex: pick("__name__|job|instance|n|a|b|eq|exported_.*", "(__name__|job|instance|n|tmp_.*|exported_.*)") };
    case 7: return { action: pick("keepequal", "dropequal"), source_labels: pick(["a"], ["b"], ["a", "b"]), target_label: pick("a", "eq", "missing") };
    default: {
      const r = { source_labels: from(), target_label: to(), regex: regex(), replacement: replacement() };
      if (random(3) === 0) r.separator = pick("", "-", "||", ";");
      return r;
    }
  }
}

const BAD = {
  novalue: "x\n", badvalue: "x abc\n", hex: "x 0x1p3\n", underscore: "x 1_000\n", crlf: "x 1\r\n", twostamps: "x 1 2 3\n", minusstamp: "x 1 -5\n",
  noname: '{a="b"} 1\n', digit: "9x 1\n", noquote: "x{a=b} 1\n", open: 'x{a="b" 1\n', noequals: "x{a} 1\n", utf8: Buffer.from([120, 123, 97, 61, 34, 0xff, 34, 125, 32, 49, 10]),
  type: "# TYPE x thing\nx 1\n", twoblanks: "# TYPE x  counter\nx 1\n", dash: "x-y 1\n", late: "good 1\nbad\n", plusnan: "x +nan\n", huge: "x 1e999\n",
};
const GOOD = {
  glued: 'x{a="b"}5\n', minus: "x-5\n", blanks: 'x { a = "b" , } \t 5 \t 1\n', comments: "#a\n# b\n#\n# HELP x\n# TYPE x untyped\nx 1\n", noend: "x 1", nocomma: 'x{a="1" b="2"} 3\n', empty: "", emptylabel: 'x{a=""} 1\n', inf: "x INF\ny -infinity\nz nan\n", twice: "x 1\nx 2\n", colon: "a:b:c 1\n", escape: 'x{a="\\t\\x"} 1\n',
};

async function record() {
  await serve();
  const nodePort = await freePort();
  w.spawn("node_exporter", "prometheus-node-exporter", [`--web.listen-address=127.0.0.1:${nodePort}`]);
  const haPort = await freePort();
  w.put("haproxy.cfg", `global
  maxconn 50
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend stats
  bind 127.0.0.1:${haPort}
  http-request use-service prometheus-exporter if { path /metrics }
  default_backend none
backend none
  server s1 127.0.0.1:1
`);
  w.spawn("haproxy", "/usr/sbin/haproxy", ["-f", join(w.dir, "haproxy.cfg"), "-db"]);
  const selfPort = await freePort();
  w.put("self.yml", "scrape_configs: []\n");
  w.spawn("self", "prometheus", [`--config.file=${w.dir}/self.yml`, `--storage.tsdb.path=${w.dir}/self`, `--web.listen-address=127.0.0.1:${selfPort}`]);
  const live = { node: nodePort, haproxy: haPort, prometheus: selfPort };
  for (const [name, port] of Object.entries(live))
    for (const [kind, accept] of [["text", TEXT], ["om", "application/openmetrics-text;version=1.0.0"], ["proto", PROTO]]) {
      const p = await until(`${name} as ${kind}`, async () => {
        const got = await fetchBytes(`http://127.0.0.1:${port}/metrics`, accept);
        return got.body.length > 1000 && got;
      }, 20000);
      const path = `/${name}/${kind}`;
      put(path, p.type, p.body);
      job(`${name}-${kind}`, path);
    }

  put("/gen", TEXT, generated(50000));
  job("gen", "/gen", { metric_relabel_configs: [{ source_labels: ["__name__", "path", "code", "n", "le", "quantile"], action: "hashmod", modulus: 5, target_label: "__tmp_part" }, { source_labels: ["__tmp_part"], regex: "0", action: "keep" }], series_limit: 12000, scrape_interval: "10s", scrape_timeout: "10s" });

  put("/relabel", TEXT, `${RELABEL}\n`);
  for (let i = 0; i < 60; i++) job(`r${i}`, "/relabel", { metric_relabel_configs: Array.from({ length: 1 + random(4) }, rule) });
  job("honor", "/honor", { honor_labels: true });
  put("/honor", TEXT, 'x{job="honor",a="1"} 1\ny{a="2"} 2\nz{instance="",job="honor"} 3\n');
  job("limits", "/relabel", { label_limit: 4 });
  job("names", "/relabel", { label_name_length_limit: 6 });
  job("values", "/relabel", { label_value_length_limit: 5 });
  job("samples", "/relabel", { sample_limit: 5 });
  job("stamped", "/stamped", { honor_timestamps: true });
  job("unstamped", "/stamped", { honor_timestamps: false });
  job("target", "/elsewhere", {
    params: { module: ["a b", "c"], other: ["d"] },
    static_configs: [{ targets: ["first.invalid:1", "second.invalid:2"], labels: { site: "fra", __path: "/relabel", __keep: "yes" } }],
    relabel_configs: [
      { source_labels: ["__address__"], regex: "second.*", action: "drop" },
      { source_labels: ["__address__"], regex: "([a-z]+)\\..*", target_label: "which" },
      { source_labels: ["__path"], target_label: "__metrics_path__" },
      { source_labels: ["__param_module"], target_label: "module" },
      { target_label: "__param_other", replacement: "changed&" },
      { target_label: "__param_added", replacement: "1" },
      { source_labels: ["__scrape_interval__", "__scheme__"], target_label: "seen" },
      { target_label: "instance", replacement: "named" },
      { target_label: "__address__", replacement: base },
      { regex: "__keep", action: "labeldrop" },
    ],
  });
  for (const [name, body] of Object.entries(BAD)) {
    put(`/bad/${name}`, TEXT, body);
    job(`bad-${name}`, `/bad/${name}`);
  }
  for (const [name, body] of Object.entries(GOOD)) {
    put(`/good/${name}`, TEXT, body);
    job(`good-${name}`, `/good/${name}`);
  }
  const om = { noeof: "x 1\n", trailing: "x 1\n# EOF\nx 2\n", blank: "x 1\n\n# EOF\n", comment: "# hi\n# EOF\n", unit: "# UNIT x seconds\nx 1\n# EOF\n", untyped: "# TYPE x untyped\nx 1\n# EOF\n", comma: 'x{a="1",} 1\n# EOF\n', gap: 'x{a="1", b="2"} 1\n# EOF\n', exemplar: "x 1 # 1\n# EOF\n" };
  for (const [name, body] of Object.entries(om)) {
    put(`/om/${name}`, OPENMETRICS, body);
    job(`bad-om-${name}`, `/om/${name}`);
  }
  put("/om/all", OPENMETRICS, '# HELP a_seconds what\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{b="c",d="é\\n\\"\\\\"} 17 # {trace_id="x"} 0.5 1.5\n# TYPE h histogram\nh_bucket{le="1.0"} 1 # {} 0.67\nh_bucket{le="+Inf"} 3\nh_count 3\nh_sum 4.5\n# TYPE i info\ni_info{v="1"} 1\n# TYPE s stateset\ns{s="on"} 1\ns{s="off"} 0\n# TYPE gh gaugehistogram\ngh_bucket{le="1"} 5\ngh_gcount 5\ngh_gsum 2\n# EOF\n');
  job("om-all", "/om/all");
  put("/gone", TEXT, "x 1\n", { status: 503 });
  job("bad-status", "/gone");
}

/** Times of its own, 5 s back; stamped anew until both have it. */
const stamp = () => put("/stamped", TEXT, `x 1 ${Date.now() - 5000}\ny 2\n`);

await run([
  [
    "pages of Prometheus, node_exporter and HAProxy, as text, OpenMetrics and protobuf",
    async () => {
      await record();
      stamp();
      await prometheus();
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({ config: `scrape_configs: ${JSON.stringify(jobs)}\n` });
      let n = 0;
      for (const name of ["node", "haproxy", "prometheus"])
        for (const kind of ["text", "om", "proto"]) n += await same(`${name}-${kind}`, { least: 50, skipCreated: true });
      console.log(`      ${n} series`);
      check(pages.get("/prometheus/proto").type.startsWith("application/vnd.google.protobuf"), "Prometheus speaks protobuf");
    },
  ],
  [
    "a page of 50,000 lines: a fifth of it kept, every value the same",
    async () => {
      const n = await same("gen", { least: 5000, timeout: 90000 });
      for (const metric of ["scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "up"])
        check((await own(prom, metric, "gen")) === (await own(w.url, metric, "gen")), `${metric}: ${await own(prom, metric, "gen")}, here ${await own(w.url, metric, "gen")}`);
      console.log(`      ${await own(w.url, "scrape_samples_scraped", "gen")} samples, ${n} kept; a scrape took ${(await own(w.url, "scrape_duration_seconds", "gen")).toFixed(3)} s, Prometheus's ${(await own(prom, "scrape_duration_seconds", "gen")).toFixed(3)} s`);
    },
  ],
  [
    "relabelling: 60 random lists of rules, targets made by rules, honor_labels",
    async () => {
      let n = 0;
      for (let i = 0; i < 60; i++) {
        const up = async (url) => own(url, "up", `r${i}`);
        await until("one verdict", async () => (await up(prom)) === (await up(w.url)), 5000).catch(async () => {
          throw new Error(`r${i}: up ${await up(prom)}, here ${await up(w.url)} ${JSON.stringify(jobs.find((j) => j.job_name === `r${i}`).metric_relabel_configs)}`);
        });
        n += await same(`r${i}`, { least: 0, timeout: 8000 }).catch((e) => {
          throw new Error(`${e.message}\n${JSON.stringify(jobs.find((j) => j.job_name === `r${i}`).metric_relabel_configs)}`);
        });
        for (const metric of ["scrape_samples_scraped", "scrape_samples_post_metric_relabeling"]) check((await own(prom, metric, `r${i}`)) === (await own(w.url, metric, `r${i}`)), `r${i}: ${metric}`);
      }
      console.log(`      ${n} series`);
      await same("target", { least: 10 });
      const urls = new Set(asked.filter((a) => a.path === "/relabel" && a.url.includes("module")).map((a) => [...new URL(a.url, "http://x").searchParams].sort().join(" ")));
      check(urls.size === 1, `the same parameters: ${[...urls].join(" | ")}`);
      const y = (await instant(w.url, 'y{a="2",job="honor"}'))[0];
      check(y?.metric.target === base, "honor_labels");
      check((await instant(w.url, 'z{job="honor",n=""}'))[0]?.metric.target === undefined, "an empty label keeps the target's away");
    },
  ],
  [
    "good pages and bad ones are told apart as Prometheus does",
    async () => {
      const wrong = [];
      for (const { job_name: name } of jobs.filter((j) => /^(bad|good|om|limits|names|values|samples)/.test(j.job_name))) {
        await until("one verdict", async () => (await own(prom, "up", name)) === (await own(w.url, "up", name)), 3000).catch(() => {});
        const [theirs, ours] = [await own(prom, "up", name), await own(w.url, "up", name)];
        if (theirs !== ours) wrong.push(`${name}: up ${theirs} at Prometheus, ${ours} here`);
        if (/^bad/.test(name) && ours !== 0) wrong.push(`${name} is up`);
        await same(name, { least: 0, timeout: 8000 }).catch((e) => wrong.push(e.message));
      }
      check(wrong.length === 0, wrong.join("\n"));
      check((await own(w.url, "up", "samples")) === 0, "sample_limit");
    },
  ],
  [
    "times on a page are kept; a target that goes is down at once, its series stale; connections are kept",
    async () => {
      await until("a stamped sample", async () => {
        stamp();
        return (await instant(w.url, 'x{job="stamped"}')).length === 1 && (await instant(prom, 'x{job="stamped"}')).length === 1;
      });
      const at = Number(pages.get("/stamped").body.toString().match(/x 1 (\d+)/)[1]);
      await until("the stamp", async () => Math.abs(Number((await instant(w.url, 'timestamp(x{job="stamped"}) * 1000'))[0].value[1]) - at) < 60);
      check(Number((await instant(w.url, 'time() - timestamp(x{job="unstamped"})'))[0].value[1]) < 4.9, "honor_timestamps: false");
      pages.get("/honor").status = 500;
      await until("down", async () => (await own(w.url, "up", "honor")) === 0, 10000);
      check((await instant(w.url, '{job="honor",__name__=~"x|z"}')).length === 0, "stale");
      pages.get("/honor").status = 200;
      await until("up", async () => (await own(w.url, "up", "honor")) === 1 && (await instant(w.url, 'x{job="honor"}')).length === 1, 10000);
      pages.get("/honor").hang = true;
      await until("hanging is down", async () => (await own(w.url, "up", "honor")) === 0, 10000);
      pages.get("/honor").hang = false;
      await until("up again", async () => (await own(w.url, "up", "honor")) === 1, 10000);
      const ports = new Set(alone);
      console.log(`      ${alone.length} pages of the server that has one job, on ${ports.size} connections`);
      check(alone.length >= 4 && ports.size <= alone.length / 2, `${ports.size} connections for ${alone.length} pages`);
    },
  ],
  [
    "a reload keeps what did not change, ends what went, and names what is not supported",
    async () => {
      const path = join(w.dir, "agent.yaml");
      const before = readFileSync(path, "utf8");
      const agent = [...w.children].find((c) => c.title === "agent");
      const head = before.slice(0, before.indexOf("scrape_configs:"));
      writeFileSync(path, `${head}scrape_configs: [{job_name: x, kubernetes_sd_configs: [{role: pod}]}]\n`);
      agent.kill("SIGHUP");
      await until("the refusal", () => /service discovery .`kubernetes_sd_configs`. is not supported/.test(w.log(agent)));
      const kept = jobs.filter((j) => ["haproxy-text", "gen"].includes(j.job_name));
      const skipped = async () => own(w.url, "tocsin_scrape_skipped_total", "haproxy-text");
      const was = await skipped();
      writeFileSync(path, `${head}scrape_configs: ${JSON.stringify(kept)}\n`);
      agent.kill("SIGHUP");
      await until("its end", async () => (await instant(w.url, 'up{job="om-all"}')).length === 0, 10000);
      check((await instant(w.url, 'a_seconds_total')).length === 0, "series of a target that went");
      const t = now();
      const pagesAsked = asked.length;
      await until("more scrapes", () => asked.length > pagesAsked + 3);
      check(now() - t < 20000 && (await own(w.url, "up", "haproxy-text")) === 1, "the other goes on");
      check((await skipped()) === was, "undisturbed");
      await sleep(0);
    },
  ],
]);
for (const s of [server, lonely]) {
  s.close();
  s.closeAllConnections();
}
await w.close();
