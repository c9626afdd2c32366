// What every process has: how it is, and its numbers of the last minute.

import { byId, element, list, pill, row, say, table, time } from "./elements.js";
import { now, sections } from "./told.js";
import { duration, milliseconds, rate } from "./words.js";

export function showProcess(process) {
  const states = Object.values(process.components);
  const worst = ["not ready", "degraded", "ready"].find((state) => states.includes(state)) ?? "ready";
  const state = process.draining ? "draining" : worst;
  byId("state").replaceWith(Object.assign(pill(state, state), { id: "state" }));
  say("kind", process.kind);
  document.title = `${state === "ready" ? "" : `${state}: `}wicketgate ${process.kind}`;
  table(
    "components",
    [["component"], ["state", "number"]],
    Object.entries(process.components).map(([name, each]) => row([[name], [pill(each, each), "number"]])),
  );
  list("process", processFacts(process));
  showUptime();
}

export function processFacts(process) {
  return [
    ["version", process.version],
    ["started", time(process.started_at)],
    ...Object.entries(process.facts),
  ];
}

export function showUptime() {
  const process = sections.process;
  if (process) say("about", `${process.version}, up for ${duration(now() - process.started_at)}`);
}

export function showNumbers(good, bad, numbers, goodMore, badMore) {
  say("good-rate", rate(good));
  say("bad-rate", rate(bad));
  say("p50", milliseconds(numbers.p50_ms));
  say("p99", milliseconds(numbers.p99_ms));
  say("good-more", goodMore);
  say("bad-more", badMore);
}

export function showTroubles() {
  const found = [];
  const { process, keys, revocations } = sections;
  if (process?.draining) found.push(["is-doubtful", "It is leaving: it answers what still comes, and ends soon."]);
  for (const [name, state] of Object.entries(process?.components ?? {})) {
    if (state === "ready" || (process.draining && name === "accepting")) continue;
    found.push([state === "degraded" ? "is-doubtful" : "is-bad", `${name}: ${state}. ${process.advice[name]}`]);
  }
  if (keys?.failures && keys.keys.length) found.push(["is-doubtful", `Clerk's keys were not fetched, ${keys.failures} times in a row: ${keys.error}. Those that are known stay in force meanwhile.`]);
  if (revocations && !revocations.users_let_in) found.push(["is-bad", "It has been unknown for too long who was revoked: users are refused."]);
  const text = JSON.stringify(found);
  const place = byId("troubles");
  if (place.dataset.told === text) return;
  place.dataset.told = text;
  place.replaceChildren(...found.map(([kind, said]) => element("li", kind, said)));
}
