// SPDX-License-Identifier: Apache-2.0
// Every kind of receiver hears an alert begin and end: over HTTP, over TLS with a CA of its own, over SMTP.
// Signatures are checked by node's crypto, which shares no code with the collector's.

import { execFileSync } from "node:child_process";
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer as httpServer } from "node:http";
import { createServer as httpsServer } from "node:https";
import { createServer } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { World, check, freePort, run, until } from "./world.mjs";

const w = new World();
const port = await freePort();
const asked = []; // {path, text, headers}
const listen = (server) => new Promise((r) => server.listen(0, "127.0.0.1", () => r(server.address().port)));
const answer = (q, r) => {
  const chunks = [];
  q.on("data", (d) => chunks.push(d));
  q.on("end", () => {
    asked.push({ path: q.url, text: Buffer.concat(chunks), headers: q.headers });
    r.writeHead(q.url.startsWith("/flaky") && asked.filter((a) => a.path === q.url).length === 1 ? 503 : 202).end();
  });
};
const plain = httpServer(answer);
const http = await listen(plain);
execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost",
  "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", join(w.dir, "tls.key"), "-out", join(w.dir, "tls.crt")], { stdio: "ignore" });
const secure = httpsServer({ key: readFileSync(join(w.dir, "tls.key")), cert: readFileSync(join(w.dir, "tls.crt")) }, answer);
const https = await listen(secure);

// A mail server that says yes to everything and keeps what it heard.
const mails = [];
const smtp = createServer((s) => {
  let text = "";
  let data = false;
  const mail = { commands: [], body: "" };
  s.write("220 mail.test ESMTP\r\n");
  s.on("error", () => {});
  s.on("data", (d) => {
    text += d;
    for (;;) {
      const end = data ? text.indexOf("\r\n.\r\n") : text.indexOf("\r\n");
      if (end < 0) return;
      const line = text.slice(0, end);
      text = text.slice(end + (data ? 5 : 2));
      if (data) {
        mails.push({ commands: mail.commands.splice(0), body: line });
        data = false;
        s.write("250 taken\r\n");
        continue;
      }
      mail.commands.push(line);
      const verb = line.slice(0, 4).toUpperCase();
      const credentials = mail.commands.at(-2) === "AUTH PLAIN";
      data = verb === "DATA";
      if (verb === "EHLO") s.write("250-mail.test\r\n250 AUTH PLAIN\r\n");
      else if (verb === "AUTH") s.write("334 \r\n");
      else if (credentials) s.write(Buffer.from(line, "base64").toString() === "\0me\0pass word" ? "235 welcome\r\n" : "535 no\r\n");
      else if (data) s.write("354 go on\r\n");
      else if (verb === "QUIT") s.end("221 bye\r\n");
      else s.write("250 ok\r\n");
    }
  });
});
const smtpPort = await listen(smtp);

const secrets = [Buffer.alloc(32, 7), Buffer.alloc(24, 9)];
const secret = (name, text) => w.put(name, `${text}\n`, 0o600);
const signing = secret("signing", secrets.map((s) => `whsec_${s.toString("base64")}`).join("\n"));
const rules = w.put(
  "rules.yaml",
  `groups:
  - name: drill
    interval: 1s
    rules:
      - {alert: Down, expr: 'probe_success{probe="p"} == 0', labels: {severity: page}, annotations: {summary: 'p is <down>'}}
`,
);
const alertmanager = w.put(
  "alertmanager.yml",
  `global:
  resolve_timeout: 5m
  slack_api_url_file: ${secret("slack", `http://127.0.0.1:${http}/slack`)}
  pagerduty_url: http://127.0.0.1:${http}/pagerduty
  smtp_smarthost: 127.0.0.1:${smtpPort}
  smtp_from: 'Tocsin <tocsin@example.org>'
  smtp_require_tls: false
route: {receiver: all}
receivers:
  - name: all
    webhook_configs:
      - {url: "http://127.0.0.1:${http}/v4", secret_file: signing}
      - {url: "http://127.0.0.1:${http}/flaky", format: standard, secret_file: signing, http_config: {authorization: {credentials_file: token}}}
      - url: https://localhost:${https}/tls
        http_config: {basic_auth: {username: u, password_file: password}, tls_config: {ca_file: tls.crt}}
      - {url: "https://localhost:${https}/distrusted"}
    slack_configs: [{channel: '#ops', send_resolved: true}]
    discord_configs: [{webhook_url: "http://127.0.0.1:${http}/discord"}]
    msteamsv2_configs: [{webhook_url: "http://127.0.0.1:${http}/teams"}]
    pagerduty_configs: [{routing_key_file: routing, secret_file: signing}]
    opsgenie_configs: [{api_url: "http://127.0.0.1:${http}/opsgenie/", api_key_file: token}]
    telegram_configs: [{api_url: "http://127.0.0.1:${http}", bot_token_file: token, chat_id: -42}]
    ntfy_configs: [{url: "http://127.0.0.1:${http}/ntfy", topic: ops, token_file: token}]
    email_configs: [{to: 'Ops <ops@example.org>, two@example.org', send_resolved: true, auth_username: me, auth_password_file: password}]
`,
);
secret("token", "t0ken");
secret("routing", "routing-key");
secret("password", "pass word");
const collector = await w.collector({ rules: [rules], route: "", extra: `alertmanager_file: ${alertmanager}\n` });
const sent = (path) => asked.filter((a) => a.path === path);
const json = (a) => JSON.parse(a.text.toString());

/** The receiver's side of Standard Webhooks. */
const verified = (a, key) => {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": list } = a.headers;
  if (!id || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const want = createHmac("sha256", key).update(`${id}.${at}.`).update(a.text).digest();
  return list.split(" ").some((s) => {
    const got = Buffer.from(s.replace(/^v1,/, ""), "base64");
    return got.length === want.length && timingSafeEqual(got, want);
  });
};
let server;

await run([
  [
    "every receiver hears that the alert fires",
    async () => {
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${port}"}\n` });
      for (const path of ["/v4", "/tls", "/slack", "/discord", "/teams", "/pagerduty", "/opsgenie/v2/alerts", "/bott0ken/sendMessage", "/ntfy"])
        await until(path, () => sent(path).length > 0);
      await until("the second try", () => sent("/flaky").length > 1);
      await until("a mail", () => mails.length > 0);
      check(json(sent("/v4")[0]).alerts[0].labels.alertname === "Down", "v4");
      check(json(sent("/slack")[0]).text.startsWith("[FIRING:1] Down") && json(sent("/slack")[0]).channel === "#ops", sent("/slack")[0].text);
      check(/p is &lt;down&gt;/.test(json(sent("/slack")[0]).attachments[0].blocks[0].text.text), "slack's escapes");
      check(json(sent("/discord")[0]).embeds[0].title.startsWith("[FIRING:1] Down"), "discord");
      const pd = json(sent("/pagerduty")[0]);
      check(pd.event_action === "trigger" && pd.routing_key === "routing-key" && pd.payload.severity === "critical", JSON.stringify(pd));
      check(sent("/opsgenie/v2/alerts")[0].headers.authorization === "GenieKey t0ken", "Opsgenie's key");
      check(sent("/ntfy")[0].headers.authorization === "Bearer t0ken" && json(sent("/ntfy")[0]).priority === 5, "ntfy");
      check(json(sent("/bott0ken/sendMessage")[0]).chat_id === -42, "telegram");
    },
  ],
  [
    "signatures hold with either of two secrets, and a retry has the same id and body",
    async () => {
      const [first, second] = sent("/flaky");
      for (const a of [sent("/v4")[0], first, second, sent("/pagerduty")[0]])
        for (const key of secrets) check(verified(a, key), `${a.path}: ${JSON.stringify(a.headers)}`);
      check(!verified(first, Buffer.alloc(32, 8)), "another key must not do");
      check(!verified({ ...first, text: Buffer.concat([first.text, Buffer.from(" ")]) }, secrets[0]), "another body must not do");
      check(first.headers["webhook-id"] === second.headers["webhook-id"] && first.text.equals(second.text), "a retry is the same message");
      check(first.headers.authorization === "Bearer t0ken", "the token of http_config");
      check(!("webhook-signature" in sent("/slack")[0].headers), "no secret, no signature");
    },
  ],
  [
    "a certificate is checked against ca_file, and a stranger's is refused",
    async () => {
      const auth = Buffer.from("u:pass word").toString("base64");
      check(sent("/tls")[0].headers.authorization === `Basic ${auth}`, "basic_auth");
      check(sent("/distrusted").length === 0, "an unknown certificate must not get an alert");
      check(/certificate/.test(w.log(collector)), "why is in the log");
    },
  ],
  [
    "a mail reaches each recipient",
    async () => {
      const m = mails[0];
      const said = m.commands.join("\n");
      check(/MAIL FROM:<tocsin@example.org>/.test(said) && /RCPT TO:<ops@example.org>/.test(said) && /RCPT TO:<two@example.org>/.test(said), said);
      check(/^AUTH PLAIN/m.test(said), said);
      check(/^Subject: \[FIRING:1\] Down/m.test(m.body), m.body);
      const text = Buffer.from(m.body.slice(m.body.indexOf("\r\n\r\n")), "base64").toString();
      check(/FIRING Down .*p is <down>/.test(text), text);
    },
  ],
  [
    "and that it is over",
    async () => {
      server = createServer((s) => s.destroy()).listen(port, "127.0.0.1");
      await until("the standard body", () => sent("/flaky").some((a) => json(a).type === "alert.resolved"));
      await until("PagerDuty", () => sent("/pagerduty").some((a) => json(a).event_action === "resolve"));
      const keys = new Set(sent("/pagerduty").map((a) => json(a).dedup_key));
      check(keys.size === 1, `one incident: ${[...keys]}`);
      await until("Opsgenie", () => asked.some((a) => /^\/opsgenie\/v2\/alerts\/tocsin-[0-9a-f]{16}\/close\?identifierType=alias$/.test(a.path)));
      await until("Slack", () => sent("/slack").some((a) => json(a).text.startsWith("[RESOLVED:1]")));
      await until("a mail", () => mails.some((m) => /^Subject: \[RESOLVED:1\]/m.test(m.body)));
    },
  ],
  [
    "no secret gets into the log or the status",
    async () => {
      const log = w.log(collector);
      for (const s of ["t0ken", "routing-key", "pass word", "whsec_"]) check(!log.includes(s), `${s} in the log`);
    },
  ],
]);
server?.close();
plain.close();
secure.close();
smtp.close();
plain.closeAllConnections();
secure.closeAllConnections();
await w.close();
