// SPDX-License-Identifier: Apache-2.0
// The live protocol of wire/live.h: a 16-byte header, then JSON or binary columns.

export const enum Type {
  Hello = 1,
  Series,
  Points,
  State,
  Beat,
  Error,
}

export interface Head {
  type: Type;
  snapshot: boolean;
  sub: number;
  seq: number;
  serverMs: number;
}

export interface Points {
  times: Float64Array;
  ids: Uint32Array;
  /** Column-major: values of column c start at c * times.length. NaN is a gap. */
  values: Float64Array;
}

const HEADER = 16;

export function decodeHead(data: ArrayBuffer): Head | null {
  if (data.byteLength < HEADER) return null;
  const v = new DataView(data);
  return {
    type: v.getUint8(0),
    snapshot: (v.getUint8(1) & 1) !== 0,
    sub: v.getUint16(2, true),
    seq: v.getUint32(4, true),
    serverMs: v.getFloat64(8, true),
  };
}

export function decodeJson<T>(data: ArrayBuffer): T {
  return JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEADER))) as T;
}

/** null when the sizes do not add up. Copies, because the columns are not 8-byte aligned. */
export function decodePoints(data: ArrayBuffer): Points | null {
  const v = new DataView(data);
  if (data.byteLength < HEADER + 8) return null;
  const rows = v.getUint32(HEADER, true);
  const columns = v.getUint32(HEADER + 4, true);
  const size = HEADER + 8 + rows * 8 + columns * 4 + rows * columns * 8;
  if (rows > 1e6 || columns > 1e6 || size !== data.byteLength) return null;
  let at = HEADER + 8;
  const times = new Float64Array(data.slice(at, (at += rows * 8)));
  const ids = new Uint32Array(data.slice(at, (at += columns * 4)));
  const values = new Float64Array(data.slice(at));
  return { times, ids, values };
}
