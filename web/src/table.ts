// SPDX-License-Identifier: Apache-2.0
// What one subscription holds: a shared time axis and a column for each series.

import type { Points } from "./wire.ts";

export type Labels = Record<string, string>;

export interface Column {
  id: number;
  labels: Labels;
  values: number[];
}

export class Table {
  times: number[] = [];
  columns = new Map<number, Column>();
  /** Rises with every change, so that a view knows whether to redraw. */
  version = 0;

  constructor(readonly windowMs: number) {}

  /** The subscription's whole series table: new series start with gaps, lost ones go. */
  setSeries(list: { id: number; labels: Labels }[]): void {
    const next = new Map<number, Column>();
    for (const s of list) {
      const old = this.columns.get(s.id);
      next.set(s.id, old ?? { id: s.id, labels: s.labels, values: this.times.map(() => NaN) });
    }
    this.columns = next;
    this.version++;
  }

  /** Rows at or before the newest time replace nothing: the page never rewrites what it drew. */
  add(p: Points, snapshot: boolean): void {
    if (snapshot) {
      this.times = [];
      for (const c of this.columns.values()) c.values = [];
    }
    const rows = p.times.length;
    const last = this.times.length ? this.times[this.times.length - 1] : -Infinity;
    let first = 0;
    while (first < rows && p.times[first] <= last) first++;
    if (first === rows) return;
    const before = this.times.length;
    for (let r = first; r < rows; r++) this.times.push(p.times[r]);
    p.ids.forEach((id, c) => {
      const col = this.columns.get(id);
      if (!col) return;
      for (let r = first; r < rows; r++) col.values.push(p.values[c * rows + r]);
    });
    const want = before + rows - first;
    for (const c of this.columns.values()) while (c.values.length < want) c.values.push(NaN);
    this.trim();
    this.version++;
  }

  private trim(): void {
    const oldest = this.times[this.times.length - 1] - this.windowMs;
    let drop = 0;
    while (drop < this.times.length && this.times[drop] < oldest) drop++;
    if (drop < 64 && drop < this.times.length / 4) return; // in bunches: splice moves the rest
    this.times.splice(0, drop);
    for (const c of this.columns.values()) c.values.splice(0, drop);
  }

  newest(): number {
    return this.times.length ? this.times[this.times.length - 1] : 0;
  }

  /** Latest value of the column with these labels, NaN when there is none. */
  last(c: Column | undefined): number {
    return c && c.values.length ? c.values[c.values.length - 1] : NaN;
  }

  find(labels: Labels): Column | undefined {
    for (const c of this.columns.values()) {
      if (Object.entries(labels).every(([k, v]) => c.labels[k] === v)) return c;
    }
    return undefined;
  }
}
