// SPDX-License-Identifier: Apache-2.0
// Silences: what is held back, by whom and until when; making one from an alert, with what it would hold
// back now shown before it is made. Over Alertmanager's API of the collector.

import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { state, type Alert } from "./live.ts";
import { now } from "./use.ts";
import { remaining } from "./format.ts";
import { HoldForm, type Held } from "./hold.tsx";

const LOOK_MS = 5000;
const SOON_MS = 15 * 60000; // that one ends is pointed out

export interface Matcher {
  name: string;
  value: string;
  isRegex: boolean;
  isEqual: boolean;
}
export interface Silence {
  id: string;
  status: { state: "pending" | "active" | "expired" };
  matchers: Matcher[];
  createdBy: string;
  comment: string;
  startsAt: string;
  endsAt: string;
  untilQuiet?: string;
}

export const silences = signal<Silence[]>([]);

export async function call(path: string, method: string, body?: unknown): Promise<unknown> {
  const r = await fetch(`/api/v2/${path}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : undefined,
    body: body ? JSON.stringify(body) : undefined,
  });
  const answer: unknown = await r.json().catch(() => null);
  if (!r.ok) throw new Error(typeof answer === "string" ? answer : `HTTP ${r.status}`);
  return answer;
}

async function look(): Promise<void> {
  try {
    silences.value = (await call("silences", "GET")) as Silence[];
  } catch {
    // No connection: the page says so already, and the list stays as it was.
  }
}

/** As the collector matches: a missing label is an empty one, a regex is anchored. */
export function matches(m: Matcher, labels: Record<string, string>): boolean {
  const value = labels[m.name] ?? "";
  let equal = value === m.value;
  if (m.isRegex) {
    try {
      equal = new RegExp(`^(?:${m.value})$`, "s").test(value);
    } catch {
      return false; // a pattern that only the collector understands
    }
  }
  return equal === m.isEqual;
}

export function silencedBy(a: Alert, list: Silence[]): Silence[] {
  return list.filter((s) => s.status.state === "active" && s.matchers.every((m) => matches(m, a.labels)));
}

export function matcherText(m: Matcher): string {
  return `${m.name}${m.isEqual ? "=" : "!"}${m.isRegex ? "~" : m.isEqual ? "" : "="}${JSON.stringify(m.value)}`;
}

/** How often an alert that these choose began to fire in the last 24 hours; null: not known (yet). */
function useDay(matchers: Matcher[]): number | null {
  const [n, setN] = useState<number | null>(null);
  const query = matchers.map((m) => `&filter=${encodeURIComponent(matcherText(m))}`).join("");
  useEffect(() => {
    let current = true;
    setN(null);
    const since = Math.floor(now.peek() / 1000) - 86400;
    const ask = async () => {
      const r = await fetch(`/api/v1/alerts/log?count=true&kind=firing&since=${since}${query}`);
      const answer = (await r.json()) as { data?: { count?: number } };
      if (current) setN(answer.data?.count ?? null);
    };
    if (query) ask().catch(() => undefined); // no connection: the page says so already
    return () => void (current = false);
  }, [query]);
  return n;
}

/** Made from an alert: its labels, those that tell it apart ticked. */
export function SilenceForm({ a, done }: { a: Alert; done: () => void }) {
  const [names, setNames] = useState(() => new Set(Object.keys(a.labels).filter((n) => n !== "severity" && n !== "job")));
  const chosen = Object.entries(a.labels).filter(([n]) => names.has(n));
  const matchers = chosen.map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
  const held = state.value?.alerts.filter((x) => x.state === "firing" && matchers.every((m) => matches(m, x.labels))) ?? [];
  const day = useDay(matchers);
  const toggle = (name: string) => {
    const next = new Set(names);
    if (!next.delete(name)) next.add(name);
    setNames(next);
  };
  const submit = async ({ hours, text, by }: Held) => {
    await call("silences", "POST", {
      matchers,
      startsAt: new Date(now.value).toISOString(),
      endsAt: new Date(now.value + hours * 3600000).toISOString(),
      createdBy: by,
      comment: text,
    });
    await look();
  };
  return (
    <HoldForm name="Silence" hours={2} text="Why" required disabled={!matchers.length} submit={submit} done={done}>
      <p class="labels">
        {Object.entries(a.labels).map(([n, v]) => (
          <label key={n}>
            <input type="checkbox" checked={names.has(n)} onChange={() => toggle(n)} /> <code>{n}={v}</code>
          </label>
        ))}
      </p>
      <p>
        {matchers.length ? `Holds back ${held.length} alert${held.length === 1 ? "" : "s"} that fire${held.length === 1 ? "s" : ""} now` : "Tick at least one label"}
        {held.length ? `: ${[...new Set(held.map((x) => x.alertname))].join(", ")}` : ""}.
        {day === null ? "" : ` In the last 24 h it would have held back ${day}.`}
      </p>
    </HoldForm>
  );
}

export function Silences() {
  const [error, setError] = useState("");
  useEffect(() => {
    void look();
    const t = setInterval(look, LOOK_MS);
    return () => clearInterval(t);
  }, []);
  const list = silences.value.filter((s) => s.status.state !== "expired");
  const end = async (id: string) => {
    try {
      await call(`silence/${id}`, "DELETE");
      setError("");
    } catch (why) {
      setError((why as Error).message);
    }
    await look();
  };
  if (!list.length) return null;
  return (
    <section aria-label="Silences">
      <h2>Silences</h2>
      <ul class="alerts">
        {list.map((s) => (
          <li class="alert" key={s.id}>
            <p class="labels">
              {s.matchers.map((m) => (
                <code key={matcherText(m)}>{matcherText(m)}</code>
              ))}
            </p>
            <p>
              {s.comment}, {s.createdBy},{" "}
              {s.status.state === "pending" ? `begins in ${remaining(Date.parse(s.startsAt) - now.value)}` : `for ${remaining(Date.parse(s.endsAt) - now.value)}${s.untilQuiet ? `, or until quiet for ${s.untilQuiet}` : ""}`}{" "}
              {s.status.state === "active" && Date.parse(s.endsAt) - now.value < SOON_MS ? <span class="severity">ends soon</span> : null}{" "}
              <button onClick={() => end(s.id)}>End</button>
            </p>
          </li>
        ))}
      </ul>
      {error ? <p class="error" role="alert">{error}</p> : null}
    </section>
  );
}
