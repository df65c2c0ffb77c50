// SPDX-License-Identifier: Apache-2.0
// A subscription for as long as a view is mounted.

import { useEffect, useState } from "preact/hooks";
import { effect, signal } from "@preact/signals";
import { subscribe, unsubscribe, nowMs, type Sub } from "./live.ts";
import { paused } from "./chart.tsx";

/** The views re-render when any of their expressions got a row: once a second. */
export function useSubs(exprs: string[], windowMs: number): Sub[] | null {
  const [subs, set] = useState<Sub[] | null>(null);
  const [, redraw] = useState(0);
  useEffect(() => {
    const mine = exprs.map((e) => subscribe(e, windowMs));
    set(mine);
    let queued = false;
    const stop = effect(() => {
      for (const s of mine) s.changed.value + s.error.value.length;
      if (paused.value || queued) return;
      queued = true;
      requestAnimationFrame(() => {
        queued = false;
        redraw((n) => n + 1);
      });
    });
    return () => {
      stop();
      mine.forEach(unsubscribe);
    };
  }, [exprs.join("\n"), windowMs]);
  return subs;
}

/** Ticks four times a second: ages count up though nothing arrives. */
export const now = signal(Date.now());
setInterval(() => (now.value = nowMs()), 250);
