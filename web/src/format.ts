// SPDX-License-Identifier: Apache-2.0
// Numbers for people: three digits, tabular, units that do not flicker.

export type Unit = "bytes/s" | "bytes" | "seconds" | "percent" | "count" | "per second";

const none = "–";

function scaled(v: number, steps: [number, string][]): string {
  const a = Math.abs(v);
  for (const [size, name] of steps) if (a >= size) return digits(v / size) + name;
  return digits(v) + (steps.length ? steps[steps.length - 1][1] : "");
}

function digits(v: number): string {
  const a = Math.abs(v);
  if (a >= 100 || Number.isInteger(v)) return v.toFixed(0);
  return a >= 10 ? v.toFixed(1) : v.toFixed(2);
}

const BYTES: [number, string][] = [
  [2 ** 40, " TiB"],
  [2 ** 30, " GiB"],
  [2 ** 20, " MiB"],
  [2 ** 10, " KiB"],
  [1, " B"],
];

export function value(v: number, unit: Unit): string {
  if (!Number.isFinite(v)) return none;
  switch (unit) {
    case "bytes":
      return v === 0 ? "0 B" : scaled(v, BYTES);
    case "bytes/s":
      return (v === 0 ? "0 B" : scaled(v, BYTES)) + "/s";
    case "seconds":
      return duration(v * 1000);
    case "percent":
      return (v * 100).toFixed(v < 0.1 ? 1 : 0) + " %";
    case "per second":
      return digits(v) + "/s";
    case "count":
      return Math.abs(v) >= 1e5 ? scaled(v, [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]]) : digits(v);
  }
}

/** Milliseconds: "240 µs", "12.3 ms", "4.2 s", "3 min", "2 h", "5 d". */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return none;
  const a = Math.abs(ms);
  if (a === 0) return "0 ms";
  if (a < 1) return digits(ms * 1000) + " µs";
  if (a < 1000) return digits(ms) + " ms";
  if (a < 60000) return digits(ms / 1000) + " s";
  if (a < 3600000) return Math.floor(ms / 60000) + " min";
  if (a < 86400000) return Math.floor(ms / 3600000) + " h";
  return Math.floor(ms / 86400000) + " d";
}

/** How long something goes on, to the minute, never less than is left: "1 h", "1 h 59 min", "2 d 3 h". */
export function remaining(ms: number): string {
  const minutes = Math.max(0, Math.ceil(ms / 60000));
  const h = Math.floor(minutes / 60);
  const two = (a: number, unit: string, b: number, rest: string) => `${a} ${unit}${b ? ` ${b} ${rest}` : ""}`;
  if (h >= 24) return two(Math.floor(h / 24), "d", h % 24, "h");
  return h ? two(h, "h", minutes % 60, "min") : `${minutes} min`;
}

export function clock(ms: number): string {
  const d = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
