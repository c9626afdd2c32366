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

// What each component means when it is not ready, and what to do.
const ADVICE = {
  keys: "Users are refused, with 503, until Clerk's keys are there: see whether their URL can be reached from here.",
  accepting: "It does not listen yet, or no longer.",
  policy: "What was written last cannot be used, and the old stays in force: the log says why.",
  revocations: "It does not hear for certain who is revoked: see whether Postgres can be reached from here, without a pooler between.",
  "first sight": "Users whom it has not seen before get no row, and are let in: see whether Postgres can be reached from here.",
  store: "Deliveries are refused, with 503, and come again by themselves: see whether Postgres can be reached from here, and whether wicketgate migrate was run.",
  secrets: "What was written last cannot be used, and the old secrets stay in force: the log says why.",
};

export function showTroubles() {
  const found = [];
  const { process, keys, revocations } = sections;
  if (process?.draining) found.push(["is-doubtful", "It is leaving: it answers what still comes, and ends soon."]);
  for (const [name, state] of Object.entries(process?.components ?? {})) {
    if (state === "ready" || (process.draining && name === "accepting")) continue;
    found.push([state === "degraded" ? "is-doubtful" : "is-bad", `${name}: ${state}. ${ADVICE[name] ?? "The log says why."}`]);
  }
  if (keys?.failures && keys.keys.length) found.push(["is-doubtful", `Clerk's keys were not fetched, ${keys.failures} times in a row: ${keys.error}. Those that are known stay in force meanwhile.`]);
  if (revocations && !revocations.users_let_in) found.push(["is-bad", "It has been unknown for too long who was revoked: users are refused."]);
  const text = JSON.stringify(found);
  const place = byId("troubles");
  if (place.dataset.told === text) return;
  place.dataset.told = text;
  place.replaceChildren(...found.map(([kind, said]) => element("li", kind, said)));
}
