// SPDX-License-Identifier: Apache-2.0
// DNS probes beside dnsmasq and a server that means no good: up with numbers, by stream when an answer does
// not fit, another rcode, another answer, no such record, broken, silent, slow, nobody there.

import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { World, check, freePort, run, until } from "./world.mjs";

const w = new World();
const value = async (expr) => Number((await w.query(expr))[0]?.value[1]);
const success = (name) => value(`probe_success{probe="${name}"}`);
const up = (name) => until(`${name} is up`, async () => (await success(name)) === 1, 20000);
const failed = (name, cls) =>
  until(`${name} fails: ${cls}`, async () => (await success(name)) === 0 && (await value(`tocsin_probe_failures_total{probe="${name}",class="${cls}"}`)) > 0, 15000);

// What a question by the hostile server's names is answered with.
const sockets = [];
const hostile = (answer) =>
  new Promise((resolve) => {
    const s = createSocket("udp4");
    sockets.push(s);
    s.on("error", () => {});
    s.on("message", (m, from) => {
      for (const a of [answer(m)].flat()) if (a) s.send(a, from.port, from.address);
    });
    s.bind(0, "127.0.0.1", () => resolve(s.address().port));
  });
const head = (m, flags, answers = 0) => {
  const a = Buffer.from(m.subarray(0, 12));
  a.writeUInt16BE(flags, 2);
  a.writeUInt16BE(answers, 6);
  a.writeUInt16BE(0, 10);
  return a;
};
const end = (m) => m.indexOf(0, 12) + 5;
const reply = (m, flags, record) => Buffer.concat([head(m, flags, record ? 1 : 0), m.subarray(12, end(m)), record ?? Buffer.alloc(0)]);
const address = (a) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...a]);
const otherId = (m) => {
  const a = reply(m, 0x8180, address([192, 0, 2, 9]));
  a[0] ^= 255;
  return a;
};

const closed = createServer((s) => s.on("error", () => {}).end());
let dnsmasq;
let port;

await run([
  [
    "dnsmasq is up, by each type, by datagram and by stream",
    async () => {
      port = await freePort();
      const nobody = await freePort();
      const long = Array.from({ length: 20 }, (_, i) => `--txt-record=long.test,"${String(i).padStart(2, "0")}${"x".repeat(200)}"`);
      dnsmasq = w.spawn("dnsmasq", "/usr/sbin/dnsmasq", ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file", `--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root",
        "--local=/test/", "--host-record=a.test,192.0.2.1,2001:db8::1", "--mx-host=a.test,mail.a.test,10", "--txt-record=a.test,one two", "--srv-host=_sip._udp.a.test,a.test,5060", "--cname=www.test,a.test", ...long]);
      const broken = await hostile((m) => reply(m, 0x8180, Buffer.from([0xc0])));
      const looped = await hostile((m) => reply(m, 0x8180, Buffer.from([0xc0, m.length > 0 ? end(m) : 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4])));
      const silent = await hostile(() => null);
      const spoofed = await hostile((m) => otherId(m));
      const both = await hostile((m) => [Buffer.alloc(0), Buffer.from("x"), otherId(m), reply(m, 0x8180, address([192, 0, 2, 1]))]);
      const servfail = await hostile((m) => reply(m, 0x8182));
      const lies = await hostile((m) => reply(m, 0x8380)); // cut short, and nobody listens by stream
      await new Promise((r) => closed.listen(0, "127.0.0.1", r));
      const q = (name, of, server, more = "") => `  - {name: ${name}, dns: ${of}, server: "127.0.0.1:${server}", every: 250ms, timeout: 1s${more}}\n`;
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({
        config:
          "probes:\n" +
          q("a", "a.test", port, ", answer: 192.0.2.1") +
          q("aaaa", "a.test", port, ', type: AAAA, answer: "2001:db8::1"') +
          q("mx", "a.test", port, ", type: MX, answer: 10 mail.a.test") +
          q("txt", "a.test", port, ", type: TXT, answer: one two") +
          q("srv", "_sip._udp.a.test", port, ", type: SRV, answer: 0 0 5060 a.test") +
          q("cname", "www.test", port, ", answer: 192.0.2.1") +
          q("long", "long.test", port, ", type: TXT") +
          q("gone", "gone.test", port, ", rcode: NXDOMAIN") +
          q("unexpected", "gone.test", port) +
          q("other", "a.test", port, ", answer: 192.0.2.2") +
          q("notype", "_sip._udp.a.test", port, ", type: MX") +
          q("broken", "a.test", broken) +
          q("looped", "a.test", looped) +
          q("silent", "a.test", silent) +
          q("spoofed", "a.test", spoofed) +
          q("both", "a.test", both, ", answer: 192.0.2.1") +
          q("servfail", "a.test", servfail) +
          q("lies", "a.test", lies) +
          q("nobody", "a.test", nobody) +
          q("quits", "a.test", closed.address().port, ", tls: true"),
      });
      for (const name of ["a", "aaaa", "mx", "txt", "srv", "cname", "long", "gone", "both"]) await up(name);
      await until("how many answers", async () => (await value('probe_dns_answer_rrs{probe="long"}')) === 20);
      check((await value('probe_dns_answer_rrs{probe="cname"}')) === 2, "a CNAME and its address");
    },
  ],
  [
    "what is wrong with each of the others is told apart",
    async () => {
      for (const name of ["unexpected", "servfail"]) await failed(name, "status");
      for (const name of ["other", "notype"]) await failed(name, "content");
      for (const name of ["broken", "looped"]) await failed(name, "protocol");
      for (const name of ["silent", "spoofed"]) await failed(name, "timeout");
      for (const name of ["nobody", "lies"]) await failed(name, "refused");
      await failed("quits", "closed");
    },
  ],
  [
    "a server that hangs times out and delays no other; killed, it is refused",
    async () => {
      dnsmasq.kill("SIGSTOP");
      for (const name of ["a", "long"]) await failed(name, "timeout");
      check((await success("both")) === 1, "another server");
      check((await value("max(tocsin_probe_start_lag_seconds_max)")) < 0.5, "starts are late");
      dnsmasq.kill("SIGCONT");
      for (const name of ["a", "long"]) await up(name);
      dnsmasq.kill("SIGKILL");
      for (const name of ["a", "long"]) await failed(name, "refused");
    },
  ],
]);
for (const s of sockets) s.close();
closed.close();
await w.close();
