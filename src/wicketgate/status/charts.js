// The two charts: the last five minutes, second by second.

import { byId, say } from "./elements.js";
import { isWebhooks } from "./told.js";
import { milliseconds, rate } from "./words.js";

const KEPT_SECONDS = 300;
let history = { first: 1, good: [], bad: [], p99_ms: [] };

function path(className, d) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("class", className);
  made.setAttribute("d", d);
  return made;
}

// Values are shares of the height. Seconds without one are gaps; the newest is at the right.
function line(values) {
  const start = KEPT_SECONDS - values.length;
  let isDrawing = false;
  let d = "";
  values.forEach((value, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    d += `${isDrawing ? "L" : "M"}${start + index + 0.5} ${(59 - 56 * value).toFixed(2)}`;
    if (!isDrawing && (values[index + 1] ?? null) === null) d += "h0.5";
    isDrawing = true;
  });
  return d;
}

function area(values) {
  if (values.length === 0) return "";
  const start = KEPT_SECONDS - values.length + 0.5;
  return `${line(values)}V60H${start}Z`;
}

function drawCharts() {
  const greatest = Math.max(0, ...history.good, ...history.bad);
  const shares = (values) => values.map((each) => each / Math.max(1, greatest));
  byId("rates-chart").replaceChildren(
    path("floor", "M0 60H300"),
    path("area-good", area(shares(history.good))),
    path("line-good", line(shares(history.good))),
    path("area-bad", area(shares(history.bad))),
    path("line-bad", line(shares(history.bad))),
  );
  say("rates-most", `peak ${rate(greatest)}`);
  // One slow answer would flatten all others on a linear scale.
  const known = history.p99_ms.filter((each) => each !== null);
  const slowest = Math.max(0.1, ...known);
  const scaled = (each) => Math.max(0, Math.log(each / 0.02) / Math.log(slowest / 0.02));
  byId("p99-chart").replaceChildren(
    path("floor", "M0 60H300"),
    path("line-plain", line(history.p99_ms.map((each) => (each === null ? null : scaled(each))))),
  );
  say("p99-most", known.length ? `peak ${milliseconds(slowest)} ms` : "");
  const [good, bad] = isWebhooks() ? ["taken", "not taken"] : ["allowed", "denied"];
  byId("rates-chart").setAttribute("aria-label", `For each of the last ${history.good.length} seconds: ${good}, ${bad}`);
  byId("p99-chart").setAttribute("aria-label", `Within how many ms 99 of 100 were answered, for each of the last ${history.p99_ms.length} seconds`);
}

export function showHistory(told, isWhole) {
  if (isWhole) history = { first: told.first, good: [], bad: [], p99_ms: [] };
  const next = history.first + history.good.length;
  const known = isWhole ? 0 : Math.max(0, next - told.first);
  for (const name of ["good", "bad", "p99_ms"]) {
    history[name] = [...history[name], ...told[name].slice(known)];
  }
  const extra = Math.max(0, history.good.length - KEPT_SECONDS);
  history.first += extra;
  for (const name of ["good", "bad", "p99_ms"]) history[name] = history[name].slice(extra);
  drawCharts();
}
