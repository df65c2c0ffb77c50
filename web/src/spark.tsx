// SPDX-License-Identifier: Apache-2.0
// The last minute of one series, as wide as a word.

import { useEffect, useRef } from "preact/hooks";
import { theme } from "./theme.ts";

const WIDTH = 96;
const HEIGHT = 22;

export function Spark(props: { times: number[]; values: number[]; windowMs: number; version: number }) {
  const ref = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const c = ref.current!;
    const scale = devicePixelRatio || 1;
    c.width = WIDTH * scale;
    c.height = HEIGHT * scale;
    const g = c.getContext("2d")!;
    g.scale(scale, scale);
    const { times, values } = props;
    const end = times[times.length - 1];
    const from = end - props.windowMs;
    let max = 0;
    for (let i = 0; i < values.length; i++) if (times[i] >= from && values[i] > max) max = values[i];
    g.strokeStyle = getComputedStyle(c).color;
    g.lineWidth = 1.25;
    g.beginPath();
    let pen = false;
    for (let i = 0; i < values.length; i++) {
      if (times[i] < from) continue;
      if (!Number.isFinite(values[i])) {
        pen = false;
        continue;
      }
      const x = ((times[i] - from) / props.windowMs) * (WIDTH - 2) + 1;
      const y = HEIGHT - 2 - (max > 0 ? (values[i] / max) * (HEIGHT - 4) : 0);
      if (pen) g.lineTo(x, y);
      else g.moveTo(x, y);
      pen = true;
    }
    g.stroke();
  }, [props.version, theme.value]);
  return <canvas ref={ref} class="spark" style={{ width: `${WIDTH}px`, height: `${HEIGHT}px` }} aria-hidden="true" />;
}
