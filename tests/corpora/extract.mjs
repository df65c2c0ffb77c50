// SPDX-License-Identifier: Apache-2.0
// PromQL expressions out of any file that holds some. A reader of YAML is not here on purpose: what
// is read wrongly is another expression, which both programs must judge alike just the same.

const indentOf = (line) => line.length - line.trimStart().length;
// Templates of charts, jsonnet and dashboards become words.
const filled = (e) =>
  e.replace(/\{\{[^}]*\}\}/g, "x").replace(/%\(\w+\)[sdfg]/g, "x").replace(/\$__(rate_)?interval(_ms)?/g, "5m")
    .replace(/\$__range(_s|_ms)?/g, "1h").replace(/\$\{?(\w+)(:\w+)?\}?/g, "$1").replace(/%%/g, "%");

// expr: or query: in YAML: quoted, block or plain, over several lines.
function fromYaml(text) {
  const lines = text.split(/\r?\n/), ret = [];
  lines.forEach((line, i) => {
    const m = /^(\s*(?:- )?\s*)(?:expr|query|"expr"):\s*(.*)$/.exec(line);
    if (!m) return;
    const indent = m[1].length;
    const more = [];
    for (let k = i + 1; k < lines.length && (lines[k].trim() === "" || indentOf(lines[k]) > indent); k++) more.push(lines[k]);
    const block = /^([|>])[-+\d]*\s*(#.*)?$/.exec(m[2]);
    if (block) {
      const least = Math.min(...more.filter((l) => l.trim()).map(indentOf));
      const cut = more.map((l) => l.slice(least));
      ret.push(block[1] === "|" ? cut.join("\n") : cut.join(" "));
    } else if (m[2].startsWith("'") || m[2].startsWith('"')) {
      const whole = [m[2], ...more.map((l) => l.trim())].join(" ");
      const q = m[2][0] === "'" ? /^'((?:[^']|'')*)'/.exec(whole) : /^"((?:[^"\\]|\\.)*)"/.exec(whole);
      if (q && m[2][0] === "'") ret.push(q[1].replaceAll("''", "'"));
      else if (q) ret.push(q[1].replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c === "t" ? "\t" : c)));
    } else if (m[2]) {
      ret.push([m[2], ...more.map((l) => l.trim())].join(" ").replace(/ #.*$/, "").trim());
    }
  });
  return ret;
}

function fromJson(text) {
  return [...text.matchAll(/"(?:expr|query)":\s*("(?:[^"\\\n]|\\.)*")/g)].flatMap((m) => {
    try {
      return [JSON.parse(m[1])];
    } catch {
      return [];
    }
  });
}

function fromJsonnet(text) {
  return [
    ...[...text.matchAll(/expr:\s*\|\|\|\n([\s\S]*?)\|\|\|/g)].map((m) => m[1]),
    ...[...text.matchAll(/expr:\s*'((?:[^'\\\n]|\\.)*)'/g)].map((m) => m[1].replace(/\\(.)/g, "$1")),
  ];
}

// Scripts of promqltest.
function fromTest(text) {
  return [...text.matchAll(/^\s*eval(?:_\w+)?\s+(?:instant\s+at\s+\S+|range\s+from\s+\S+\s+to\s+\S+\s+step\s+\S+)\s+(.*)$/gm)].map((m) => m[1]);
}

export function expressionsOf(path, text) {
  const read = /\.json$/.test(path) ? fromJson : /sonnet$/.test(path) ? fromJsonnet : /\.test$/.test(path) ? fromTest : fromYaml;
  return read(text).map((e) => (read === fromTest ? e : filled(e)));
}
