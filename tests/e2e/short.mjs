// SPDX-License-Identifier: Apache-2.0
// Connections of about a millisecond, and their server. Imported, or run in a network namespace of its own:
//
//     node short.mjs serve PORT [BACKLOG]     says "ready", answers until its input ends
//     node short.mjs load PORT N client|reset how many, said when they are through
//     node short.mjs crowd PORT N SECONDS     connects that stay, whether anybody accepts them or not

import { connect, createServer } from "node:net";

export const REQUEST = Buffer.alloc(1000, "q");
export const REPLY = Buffer.alloc(700, "a");

/** A server that answers a whole request after a millisecond, by `reply`. */
export async function answering(port, reply, backlog = 1024) {
  const server = createServer((s) => {
    let got = 0;
    s.setNoDelay(true).on("error", () => {});
    s.on("data", (d) => {
      got += d.length;
      if (got === REQUEST.length) setTimeout(() => reply(s), 1);
    });
  });
  await new Promise((ok) => server.listen(port, "127.0.0.1", backlog, ok));
  return server;
}

/** One connection: a request, its reply, and its end: by us, by the server and then us, at once or late, by
 * an abort. */
function once(port, how) {
  return new Promise((ok, no) => {
    let got = 0;
    const late = how === "late";
    const s = connect({ port, host: "127.0.0.1", allowHalfOpen: late }).setNoDelay(true);
    if (late) s.on("end", () => setTimeout(() => s.end(), 60));
    s.on("error", no);
    s.on("close", () => ok(got));
    s.on("connect", () => s.write(REQUEST));
    s.on("data", (d) => {
      got += d.length;
      if (got < REPLY.length) return;
      if (how === "reset") s.resetAndDestroy();
      else if (how === "client") s.end();
    });
  });
}

/** n of them, some at a time; the milliseconds it took. */
export async function many(port, n, how, clients = 20) {
  let left = n;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (left-- > 0) if ((await once(port, how)) !== REPLY.length) throw new Error("a reply was cut short");
    }),
  );
  return performance.now() - begun;
}

const [what, port, n, more] = process.argv.slice(2);
if (process.argv[1]?.endsWith("/short.mjs")) {
  if (what === "serve") {
    await answering(Number(port), (s) => s.write(REPLY), n ? Number(n) : undefined);
    console.log("ready");
    process.stdin.on("data", () => {}).on("end", () => process.exit());
  } else if (what === "load") {
    console.log(await many(Number(port), Number(n), more));
  } else {
    for (let i = 0; i < Number(n); i++) connect(Number(port), "127.0.0.1").on("error", () => {});
    setTimeout(() => process.exit(), Number(more) * 1000);
  }
}
