// SPDX-License-Identifier: Apache-2.0
// A live line chart. Redrawn when data came and the picture would move by a pixel, only while it
// is on screen, at most a few charts per animation frame. Gaps stay gaps.

import { useEffect, useRef } from "preact/hooks";
import { signal, effect } from "@preact/signals";
import uPlot from "uplot";
import { subscribe, unsubscribe, nowMs, type Sub } from "./live.ts";
import type { Column, Labels } from "./table.ts";
import { value, clock, type Unit } from "./format.ts";
import { theme } from "./theme.ts";

export interface Line {
  expr: string;
  /** Name of a series in the legend. */
  name: (l: Labels) => string;
}

/** Space freezes every chart; data keeps arriving and is there on release. */
export const paused = signal(false);

const PER_FRAME = 10;
const queue = new Set<() => void>();
let scheduled = false;

function enqueue(draw: () => void): void {
  queue.add(draw);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(function run() {
    let n = 0;
    for (const d of queue) {
      if (n++ === PER_FRAME) break;
      queue.delete(d);
      d();
    }
    if (queue.size) requestAnimationFrame(run);
    else scheduled = false;
  });
}

// Okabe and Ito's set, darkened for white paper; red is kept for alarms. Dashes are the second
// channel for eyes that do not tell the colours apart.
const STROKES = {
  dark: ["#56B4E9", "#E69F00", "#2FCB9A", "#F0E442", "#CC79A7", "#8AA0FF"],
  light: ["#0072B2", "#B06A00", "#007A5A", "#8A7A00", "#A34B80", "#4052C8"],
};
const DASHES: (number[] | undefined)[] = [undefined, [6, 3], [2, 2]];
const SERIES_MAX = 18;

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Columns of several subscriptions on one axis of whole seconds. */
function join(subs: Sub[], lines: Line[]): { names: string[]; data: uPlot.AlignedData } {
  const picked: { column: Column; times: number[]; name: string }[] = [];
  subs.forEach((s, i) => {
    for (const column of s.table.columns.values()) {
      picked.push({ column, times: s.table.times, name: lines[i].name(column.labels) });
    }
  });
  picked.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  picked.length = Math.min(picked.length, SERIES_MAX);
  const axis = [...new Set(picked.flatMap((p) => p.times))].sort((a, b) => a - b);
  const rows = picked.map((p) => {
    const out: (number | null)[] = new Array(axis.length).fill(null);
    let at = 0;
    p.times.forEach((t, i) => {
      while (axis[at] < t) at++;
      const v = p.column.values[i];
      out[at] = Number.isFinite(v) ? v : null;
    });
    return out;
  });
  return { names: picked.map((p) => p.name), data: [axis.map((t) => t / 1000), ...rows] as uPlot.AlignedData };
}

function options(names: string[], unit: Unit, width: number, height: number, windowMs: number, marks: number[]): uPlot.Options {
  const grid = { stroke: css("--grid"), width: 1 };
  const ink = css("--dim");
  const strokes = STROKES[theme.value];
  return {
    width,
    height,
    cursor: { sync: { key: "tocsin" }, points: { size: 6 } },
    legend: { live: true },
    scales: {
      x: {
        time: true,
        range: () => {
          const end = Math.floor(nowMs() / 1000);
          return [end - windowMs / 1000, end];
        },
      },
      y: {
        range: (_u, lo, hi) => [Math.min(0, lo ?? 0), Math.max(...marks.map((m) => m * 1.1), hi > 0 ? hi * 1.1 : unit === "percent" ? 0.01 : 1)],
      },
    },
    axes: [
      { stroke: ink, grid, ticks: grid, values: (_u, ts) => ts.map((t) => clock(t * 1000)), space: 90 },
      { stroke: ink, grid, ticks: grid, size: 86, values: (_u, vs) => vs.map((v) => value(v, unit)) },
    ],
    series: [
      { value: (_u, t) => (t == null ? "–" : clock(t * 1000)) },
      ...names.map((label, i) => ({
        label,
        stroke: strokes[i % strokes.length],
        dash: DASHES[Math.floor(i / strokes.length) % DASHES.length],
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        value: (_u: uPlot, v: number | null) => (v == null ? "–" : value(v, unit)),
      })),
    ],
    hooks: {
      draw: [
        (u) => {
          u.ctx.save();
          u.ctx.strokeStyle = css("--firing");
          u.ctx.setLineDash([4, 4]);
          for (const m of marks) {
            const y = Math.round(u.valToPos(m, "y", true)) + 0.5;
            u.ctx.beginPath();
            u.ctx.moveTo(u.bbox.left, y);
            u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
            u.ctx.stroke();
          }
          u.ctx.restore();
        },
      ],
    },
  };
}

export function Chart(props: {
  title: string;
  lines: Line[];
  unit: Unit;
  windowMs?: number;
  height?: number;
  /** Thresholds, drawn as dashed lines. */
  marks?: number[];
}) {
  const box = useRef<HTMLDivElement>(null);
  const note = useRef<HTMLParagraphElement>(null);
  const windowMs = props.windowMs ?? 300000;
  const height = props.height ?? 180;
  const key = props.lines.map((l) => l.expr).join("\n");

  useEffect(() => {
    const el = box.current!;
    const subs = props.lines.map((l) => subscribe(l.expr, windowMs));
    let plot: uPlot | null = null;
    let shape = "";
    let visible = false;
    let hovering = false;

    const draw = () => {
      if (!visible || hovering || paused.value || !el.clientWidth) return;
      const failed = subs.find((s) => s.error.value);
      const { names, data } = join(subs, props.lines);
      const answered = subs.every((s) => s.table.version > 0);
      note.current!.textContent = failed ? failed.error.value : names.length || !answered ? "" : "No such series on any agent yet.";
      const next = `${theme.value} ${el.clientWidth} ${names.join("\n")}`;
      if (!plot || next !== shape) {
        plot?.destroy();
        plot = names.length ? new uPlot(options(names, props.unit, el.clientWidth, height, windowMs, props.marks ?? []), data, el) : null;
        shape = next;
      } else plot.setData(data);
      // Without a pointer the legend tells the newest values.
      plot?.setLegend({ idx: data[0].length - 1 }, false);
    };
    const stop = effect(() => {
      for (const s of subs) s.changed.value;
      theme.value;
      if (!paused.value) enqueue(draw);
    });
    const seen = new IntersectionObserver(
      ([e]) => {
        visible = e.isIntersecting;
        if (visible) enqueue(draw);
      },
      { rootMargin: "300px" }, // drawn before it is scrolled to
    );
    seen.observe(el);
    const sized = new ResizeObserver(() => enqueue(draw));
    sized.observe(el);
    const enter = () => (hovering = true);
    const leave = () => {
      hovering = false;
      enqueue(draw);
    };
    el.addEventListener("pointerenter", enter);
    el.addEventListener("pointerleave", leave);
    return () => {
      stop();
      queue.delete(draw);
      seen.disconnect();
      sized.disconnect();
      plot?.destroy();
      subs.forEach(unsubscribe);
    };
  }, [key, windowMs]);

  return (
    <figure class="chart">
      <figcaption>{props.title}</figcaption>
      <div ref={box} style={{ minHeight: `${height}px` }} role="img" aria-label={props.title} />
      <p class="note" ref={note} />
    </figure>
  );
}
