// SPDX-License-Identifier: Apache-2.0
// One WebSocket for the tab. Subscriptions outlive it: after a reconnect each asks for what came
// since its newest point, so charts show no gap.

import { signal } from "@preact/signals";
import { decodeHead, decodeJson, decodePoints, Type } from "./wire.ts";
import { Table, type Labels } from "./table.ts";

export interface Alert {
  alertname: string;
  state: "pending" | "firing" | "resolved";
  stale?: boolean;
  labels: Labels;
  annotations: Labels;
  value: number | string;
  active_at_ms: number;
  starts_at_ms: number;
  resolved_at_ms: number;
  cause_ms: number;
  decided_ms: number;
  fingerprint: string;
  ack?: { owner: string; note: string; at_ms: number; until_ms: number };
}

export interface Agent {
  host: string;
  state: "up" | "suspect" | "down" | "gone";
  version: string;
  last_frame_ms: number;
  series: number;
  refused: number;
  missing: number;
  skew_ms: number;
}

export interface State {
  alerts: Alert[];
  agents: Agent[];
  rules: { total: number; unhealthy: { group: string; name: string; error: string }[] };
  banner: string;
}

export interface Sub {
  id: number;
  expr: string;
  table: Table;
  error: { value: string };
  changed: { value: number };
}

interface Entry extends Sub {
  users: number;
}

export const connected = signal(false);
export const serverMs = signal(0);
export const hello = signal<{ version: string; instance: string } | null>(null);
export const state = signal<State | null>(null);
/** Wall clock difference browser - collector, so that ages are right on a skewed laptop. */
let skew = 0;
export const nowMs = (): number => Date.now() - skew;

const subs = new Map<number, Entry>();
const byKey = new Map<string, Entry>();
let socket: WebSocket | null = null;
let nextId = 1;
let retry = 250;
let heard = 0;

function send(o: unknown): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(o));
}

function ask(e: Entry): void {
  send({
    op: "subscribe",
    id: e.id,
    expr: e.expr,
    window_ms: e.table.windowMs,
    step_ms: 1000,
    since_ms: e.table.newest(),
  });
}

/** The same expression and window is one subscription, however many views show it. */
export function subscribe(expr: string, windowMs: number): Sub {
  const key = `${windowMs} ${expr}`;
  let e = byKey.get(key);
  if (!e) {
    e = { id: nextId++ & 0xffff, expr, table: new Table(windowMs), error: signal(""), changed: signal(0), users: 0 };
    subs.set(e.id, e);
    byKey.set(key, e);
    ask(e);
  }
  e.users++;
  return e;
}

export function unsubscribe(s: Sub): void {
  const e = subs.get(s.id);
  if (!e || --e.users > 0) return;
  subs.delete(e.id);
  byKey.delete(`${e.table.windowMs} ${e.expr}`);
  send({ op: "unsubscribe", id: e.id });
}

function receive(data: ArrayBuffer): void {
  const h = decodeHead(data);
  if (!h) return;
  heard = performance.now();
  skew = Date.now() - h.serverMs;
  serverMs.value = h.serverMs;
  const e = subs.get(h.sub);
  switch (h.type) {
    case Type.Hello:
      hello.value = decodeJson(data);
      break;
    case Type.State:
      state.value = decodeJson<State>(data);
      break;
    case Type.Series:
      e?.table.setSeries(decodeJson(data));
      break;
    case Type.Points: {
      const p = decodePoints(data);
      if (!e || !p) break;
      e.error.value = "";
      e.table.add(p, h.snapshot);
      e.changed.value = e.table.version;
      break;
    }
    case Type.Error:
      if (e) e.error.value = decodeJson<{ error: string }>(data).error;
      break;
    case Type.Beat:
      break;
  }
}

function connect(): void {
  const url = new URL("/v1/live", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const ws = new WebSocket(url);
  ws.binaryType = "arraybuffer";
  socket = ws;
  ws.onopen = () => {
    connected.value = true;
    heard = performance.now();
    retry = 250;
    for (const e of subs.values()) ask(e);
  };
  ws.onmessage = (m) => receive(m.data as ArrayBuffer);
  ws.onclose = () => {
    if (socket !== ws) return;
    socket = null;
    connected.value = false;
    setTimeout(connect, retry * (0.5 + Math.random() / 2));
    retry = Math.min(retry * 2, 5000);
  };
}

export function start(): void {
  connect();
  // The collector beats every second. Silence means a dead path that the browser has not noticed.
  setInterval(() => {
    if (socket?.readyState === WebSocket.OPEN && performance.now() - heard > 5000) socket.close();
  }, 1000);
}
