// SPDX-License-Identifier: Apache-2.0
// A service that stands still for 500 ms about each 5 s: the p99 that the collector gives is within 5 % of
// the truth, which is what each question of the schedule would have waited, asked or not. Somebody who
// waits for an answer before asking again sees one slow answer in each stall.

import * as servers from "./servers.mjs";
import { World, check, now, run, sleep, until } from "./world.mjs";

const w = new World();
const EVERY = 50; // ms
const STALL = 500;
const SECONDS = 30;
const value = async (expr, time) => Number((await w.query(expr, time))[0]?.value[1]);

const stalls = []; // [begin, end] of this process's clock
const arrivals = [];
let ends = 0;
const service = await servers.own((s) =>
  s.on("data", () => {
    const at = now();
    arrivals.push(at);
    const answer = () => s.writable && s.write("+PONG\r\n");
    if (at < ends) setTimeout(answer, ends - at);
    else answer();
  }),
);

/** Of a closed loop: the next question 50 ms after the last, but never before its answer. */
function waiting(from, to) {
  const out = [];
  for (let at = from; at < to; ) {
    const stall = stalls.find(([b, e]) => at >= b && at < e);
    out.push(stall ? stall[1] - at : 1);
    at = Math.max(stall ? stall[1] : at, at + EVERY);
  }
  return out;
}
const quantile = (list, q) => list.sort((a, b) => a - b)[Math.ceil(q * list.length) - 1];

await run([
  [
    `p99 of a service that is stalled a tenth of the time, over ${SECONDS} s`,
    async () => {
      await w.collector({ rules: [w.put("rules.yaml", "groups: []\n")] });
      await w.agent({ config: `probes:\n  - {name: p, tcp: "127.0.0.1:${service.port}", send: "PING\\r\\n", expect: "+PONG", every: ${EVERY}ms, timeout: 2s, slow: 1s}\n` });
      await until("it to be asked", () => arrivals.length > 20);
      const first = now();
      const clock = Date.now() - first; // of the wall, to ask the collector about the same time
      while (now() < first + SECONDS * 1000) {
        // Not on a beat with the questions.
        const begin = now() + 4200 + Math.random() * 600;
        await sleep(begin - now());
        ends = now() + STALL;
        stalls.push([now(), ends]);
        await sleep(STALL);
      }
      const last = now();
      await sleep(1500); // the last samples are on their way

      // The schedule, from an answer that was asked in peace: a question each 50 ms, asked or not.
      const calm = arrivals.filter((a) => a > first && !stalls.some(([b, e]) => a >= b - 5 && a < e + 200));
      const phase = quantile(calm.map((a) => ((a - calm[0] + 25) % EVERY) - 25), 0.1) + calm[0];
      const truth = [];
      for (let at = phase + Math.ceil((first - phase) / EVERY) * EVERY; at < last; at += EVERY) {
        const stall = stalls.find(([b, e]) => at >= b && at < e);
        truth.push(stall ? stall[1] - at : 1);
      }
      const span = Math.round((last - first) / 1000);
      const time = ((last + clock) / 1000 + 1).toFixed(3);
      const is = async (q) => (await value(`histogram_quantile(${q}, increase(tocsin_probe_latency_seconds{probe="p"}[${span + 1}s]))`, time)) * 1e3;
      const booked = await value(`increase(tocsin_probe_skipped_total{probe="p"}[${span + 1}s])`, time);
      const closed = waiting(first, last);
      for (const q of [0.95, 0.99]) {
        const [p, should] = [await is(q), quantile(truth, q)];
        console.log(`      p${q * 100} ${p.toFixed(0)} ms, truth ${should.toFixed(0)} ms; who waits for answers gets ${quantile(closed, q).toFixed(0)} ms`);
        if (q === 0.99) check(Math.abs(p / should - 1) < 0.05, `p99 is ${p} ms, and ${should} ms is true`);
      }
      console.log(`      ${booked.toFixed(0)} of ${truth.length} questions were not asked`);
      check(booked > 20, "the stall was not longer than what may be in flight");
    },
  ],
]);
servers.closeOwn();
await w.close();
