// SPDX-License-Identifier: Apache-2.0
// The page in Debian's Chromium against a real collector and agent: it moves, it shows a crash as it
// happens, it survives a restart of the collector without a gap, and nothing leaves the origin.
// SCREENSHOTS=folder keeps pictures.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { World, check, now, root, run, sleep, tree } from "./world.mjs";

const chromiumPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const playwright = new URL("../../web/node_modules/playwright-core/index.mjs", import.meta.url);
if (!chromiumPath || !existsSync(playwright)) {
  console.log("chromium or playwright-core is not installed: sh packaging/check.sh installs both");
  console.log("0 passed, 1 failed");
  process.exit(1);
}
const { chromium } = await import(playwright);
const shots = process.env.SCREENSHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const w = new World();
const foreign = [];
const errors = [];
let browser, page, nginx;
const text = () => page.evaluate(() => document.body.innerText);
/** A chart is drawn when it is looked at; on a host with many services it is far down. */
const chart = async (timeout) => {
  await page.locator(".chart").first().scrollIntoViewIfNeeded();
  await page.waitForSelector(".chart canvas", timeout ? { timeout } : {});
};
const shot = async (name) => shots && page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });

await run([
  [
    "the page shows this host, its services and moving charts",
    async () => {
      const stock = (name) => join(root, "rules/stock", name);
      const behind = w.put("behind.yaml", `groups: [{name: page, rules: [{alert: Behind, expr: 'tocsin_service_state{state="crashed"} == 1'}]}]\n`);
      const overrides = w.put("behind.overrides.yaml", "overrides: [{rule: page/Behind, set: {depends_on: [starter/ServiceCrashed]}}]\n");
      await w.collector({ rules: [stock("starter.yaml"), stock("starter.overrides.yaml"), behind, overrides] });
      nginx = await w.nginx();
      await w.agent({ host: "page-host" });
      browser = await chromium.launch({
        executablePath: chromiumPath,
        args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
      });
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "dark" });
      page = await context.newPage();
      page.on("request", (q) => {
        const u = new URL(q.url());
        if (!["data:", "blob:"].includes(u.protocol) && u.host !== new URL(w.url).host) foreign.push(q.url());
      });
      page.on("pageerror", (e) => errors.push(String(e)));
      page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
      const begun = now();
      await page.goto(w.url);
      await page.waitForSelector("text=page-host", { timeout: 5000 });
      await page.waitForSelector(`.services a:text-is("nginx")`, { timeout: 5000 });
      console.log(`      first data after ${(now() - begun).toFixed(0)} ms`);
      await chart(5000);
      await page.waitForSelector("text=All quiet");
    },
  ],
  [
    "throughput moves while nginx is under load",
    async () => {
      w.spawn("wrk", "wrk", ["-t1", "-c4", "-d20s", `http://127.0.0.1:${nginx.port}/`]);
      await page.waitForFunction(() => /MiB\/s/.test(document.querySelector(".services")?.innerText ?? ""), null, { timeout: 15000 });
      await sleep(3000);
      await shot("dark");
      await page.click("text=Light");
      await sleep(1200);
      await shot("light");
      await page.click("text=Dark");
    },
  ],
  [
    "a crash is on the page within a second, and goes when nginx is back",
    async () => {
      const from = now();
      for (const p of tree(nginx.child.pid)) process.kill(p, "SIGKILL");
      await page.waitForSelector(".alert.firing", { timeout: 5000 });
      const took = now() - from;
      console.log(`      crash to page: ${took.toFixed(0)} ms`);
      check(took < 1000, `${took.toFixed(0)} ms`);
      await page.waitForSelector(".services tr.crashed", { timeout: 3000 });
      await page.click(".alert.firing .alert-head");
      await sleep(300);
      await shot("crash");
      nginx = await w.nginx({ port: nginx.port });
      await page.waitForSelector(".alert.resolved", { timeout: 5000 });
      await page.waitForSelector(".services tr.crashed", { state: "detached", timeout: 5000 });
    },
  ],
  [
    "an alert is silenced on the page, and the silence is ended there",
    async () => {
      for (const p of tree(nginx.child.pid)) process.kill(p, "SIGKILL");
      const crashed = `.alert.firing:has-text("ServiceCrashed"):has-text("port=${nginx.port}")`;
      await page.waitForSelector(crashed, { timeout: 5000 });
      const behind = '.alert.firing:has-text("Behind")';
      await page.click(`${behind} .alert-head`);
      await page.waitForSelector(`${behind} >> text=an alert it depends on fires`, { timeout: 8000 });
      await page.click(`${behind} .alert-head`);
      await page.click(`${crashed} .alert-head`);
      await page.click(`${crashed} >> text=Silence…`);
      await page.fill(`${crashed} label:has-text("Why") input`, "disk swap");
      await page.fill(`${crashed} label:has-text("Who") input`, "ann");
      await page.waitForSelector(`${crashed} >> text=Holds back 1 alert that fires now: ServiceCrashed`);
      await page.waitForSelector(`${crashed} >> text=In the last 24 h it would have held back`);
      await shot("silence");
      await page.click(`${crashed} button:text-is("Silence")`);
      await page.waitForSelector(`${crashed} >> text=silenced`, { timeout: 3000 });
      await page.waitForSelector('section[aria-label="Silences"] >> text=disk swap, ann');
      await shot("silenced");
      await page.click('section[aria-label="Silences"] >> text=End');
      await page.waitForSelector('section[aria-label="Silences"]', { state: "detached", timeout: 3000 });
      nginx = await w.nginx({ port: nginx.port });
      await page.waitForSelector(crashed, { state: "detached", timeout: 8000 });
    },
  ],
  [
    "an alert is taken on with the key `a`; every tab says by whom, and it is given back",
    async () => {
      for (const p of tree(nginx.child.pid)) process.kill(p, "SIGKILL");
      const crashed = `.alert.firing:has-text("ServiceCrashed"):has-text("port=${nginx.port}")`;
      await page.waitForSelector(crashed, { timeout: 5000 });
      const other = await page.context().newPage();
      await other.goto(w.url);
      await other.waitForSelector(crashed, { timeout: 5000 });
      await page.focus(`${crashed} .alert-head`);
      await page.keyboard.press("a");
      const form = `${crashed} form[aria-label="Acknowledge"]`;
      await page.waitForSelector(form, { timeout: 2000 });
      await page.fill(`${form} label:has-text("Note") input`, "disk ordered");
      await page.fill(`${form} label:has-text("Who") input`, "ann");
      await page.selectOption(`${form} select`, "2");
      await shot("ack-form");
      await page.click(`${form} button:text-is("Acknowledge")`);
      await page.waitForSelector(`${crashed} .alert-head:has-text("ann has it")`, { timeout: 2000 });
      await other.waitForSelector(`${crashed} .alert-head:has-text("ann has it")`, { timeout: 2000 });
      await page.waitForSelector(`${crashed} >> text=/ann, for .*: disk ordered/`);
      await shot("acknowledged");
      await page.click(`${crashed} button:text-is("Give back")`);
      await other.waitForSelector(`${crashed} .alert-head:has-text("ann has it")`, { state: "detached", timeout: 2000 });
      await other.close();
      nginx = await w.nginx({ port: nginx.port });
      await page.waitForSelector(crashed, { state: "detached", timeout: 8000 });
    },
  ],
  [
    "a service and a host have pages of their own",
    async () => {
      await page.click(`.services tr:has(td:text-is("${nginx.port}")) a`); // others may have an nginx here too
      await page.waitForSelector("h1:has-text('nginx')");
      await chart();
      await sleep(1500);
      await shot("service");
      await page.goto(`${w.url}/#/h/page-host`);
      await page.waitForSelector("h1:has-text('page-host')");
      await chart();
      await sleep(1500);
      await shot("host");
      await page.goto(`${w.url}/#/`);
    },
  ],
  [
    "after a restart of the collector the page reconnects and its chart has no gap",
    async () => {
      await chart();
      const collector = [...w.children].find((c) => c.title === "collector");
      collector.kill("SIGKILL");
      await collector.gone;
      await page.waitForSelector("text=No connection to the collector", { timeout: 5000 });
      await shot("disconnected");
      await w.collector();
      await page.waitForSelector("text=No connection to the collector", { state: "detached", timeout: 8000 });
      await sleep(3000);
      const times = (await w.query("tocsin_agent_frame_seq[30s]"))[0].values.map((v) => v[0]);
      const widest = Math.max(...times.slice(1).map((t, i) => t - times[i]));
      check(widest < 1.6, `the widest gap is ${widest} s`);
      check(/live/.test(await text()), "live again");
    },
  ],
  [
    "it fits a phone of 390 px without sideways scrolling",
    async () => {
      await page.setViewportSize({ width: 390, height: 844 });
      await sleep(1200);
      await shot("phone");
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, `${over} px too wide`);
    },
  ],
  [
    "no request left the origin and no error was logged",
    async () => {
      check(foreign.length === 0, foreign.join(" "));
      // A refused socket while the collector was down is logged by the browser itself.
      const ours = errors.filter((e) => !/WebSocket connection|ERR_CONNECTION_REFUSED/.test(e));
      check(ours.length === 0, ours.join("\n"));
    },
  ],
]);
await browser?.close();
await w.close();
