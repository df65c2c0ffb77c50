// SPDX-License-Identifier: Apache-2.0
// The service that gets broken: GET / answers, GET /ctl?mode=ok|err|slow&ms=300 changes how, GET
// /metrics speaks Prometheus. `node service.mjs PORT`.

import { createServer } from "node:http";

const port = Number(process.argv[2]);
let mode = "ok";
let ms = 300;
let requests = 0;

createServer((q, r) => {
  const url = new URL(q.url, "http://localhost");
  if (url.pathname === "/ctl") {
    mode = url.searchParams.get("mode") ?? "ok";
    ms = Number(url.searchParams.get("ms") ?? ms);
    return r.end(mode);
  }
  if (url.pathname === "/metrics") return r.end(`# TYPE app_requests_total counter\napp_requests_total ${requests}\n`);
  requests++;
  if (mode === "err") return r.writeHead(500).end("broken");
  if (mode === "slow") return void setTimeout(() => r.end("slow"), ms);
  r.end("ok");
}).listen(port, "127.0.0.1");
