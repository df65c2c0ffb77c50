// SPDX-License-Identifier: Apache-2.0
// Why an alert is not told now, besides silences: inhibition, times of its route, overrides. Asked of the
// collector only for the alert that is looked at: in a storm there are thousands.

import { useEffect, useState } from "preact/hooks";
import type { Alert } from "./live.ts";

const LOOK_MS = 5000;
const WORDS: Record<string, string> = {
  inhibit_rules: "an alert that inhibits it fires",
  depends_on: "an alert it depends on fires",
  time_intervals: "its route says nothing at this time",
  flap: "it flaps, and that has been said",
};

interface Listed {
  fingerprint: string;
  status: { inhibitedBy: string[]; mutedBy?: string[] };
}

async function reasons(a: Alert): Promise<string[]> {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(a.labels)) q.append("filter", `${JSON.stringify(name)}=${JSON.stringify(value)}`);
  const r = await fetch(`/api/v2/alerts?${q}`);
  const list = r.ok ? ((await r.json()) as Listed[]) : [];
  const found = list.find((x) => x.fingerprint === a.fingerprint);
  return found ? [...found.status.inhibitedBy, ...(found.status.mutedBy ?? [])].map((x) => WORDS[x] ?? x) : [];
}

export function HeldBack({ a }: { a: Alert }) {
  const [why, setWhy] = useState<string[]>([]);
  useEffect(() => {
    let there = true;
    const look = () =>
      reasons(a).then(
        (x) => there && setWhy(x),
        () => undefined, // no connection: the page says so already
      );
    void look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      there = false;
      clearInterval(timer);
    };
  }, [a.fingerprint, a.state]);
  return why.length ? (
    <>
      <dt>Not told now</dt>
      <dd>{why.join("; ")}</dd>
    </>
  ) : null;
}
