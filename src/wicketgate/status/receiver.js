// What only a receiver of webhooks has.

import { element, list, row, say, show, table, time } from "./elements.js";
import { showNumbers } from "./process.js";
import { grouped } from "./words.js";

export function showDeliveries(told) {
  say("good-name", "taken");
  say("bad-name", "not taken");
  say("rates-title", "requests a second");
  say("events-title", "What went wrong");
  say("reasons-title", "Why not taken");
  say("reasons-empty", "All were.");
  showNumbers(
    told.taken_per_second,
    told.not_taken_per_second,
    told,
    `${grouped(told.taken)} in all`,
    `${grouped(told.failed)} failed, ${grouped(told.rejected)} rejected`,
  );
  const seconds = (each) => (each === null ? "–" : `${each} s`);
  show("lag-section", true);
  list("lag", [
    ["last delivery", told.last_taken_at === null ? "none yet" : time(told.last_taken_at)],
    ["newest lag", seconds(told.lag_seconds.newest)],
    ["half of the last 100 within", seconds(told.lag_seconds.p50)],
    ["all of them within", seconds(told.lag_seconds.greatest)],
    ["dead letters", grouped(told.dead_letters)],
  ]);
}

export function showOutcomes(outcomes) {
  show("outcomes-section", true);
  table(
    "outcomes",
    [["type"], ["outcome"], ["total", "number"]],
    outcomes.map((each) => row([[element("span", "code", each.type)], [each.outcome], [grouped(each.total), "number"]])),
  );
}
