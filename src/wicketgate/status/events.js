// The newest denials of a gate, and what went wrong with deliveries.

import { byId, element, row, showWhetherEmpty, status, table, time } from "./elements.js";
import { reasonName } from "./reasons.js";
import { isWebhooks } from "./told.js";

const KEPT_EVENTS = 50;
let events = [];

function denialRow(each) {
  const about = [status(each.status), reasonName(each.reason), element("span", "small", each.title)];
  if (each.detail) about.push(element("span", "small code", each.detail));
  const rule = [element("span", "code", each.rule || "no rule")];
  if (each.template) rule.push(element("span", "small code", each.template));
  const id = [element("span", "code", each.decision_id)];
  if (each.who) id.push(element("span", "small", `${each.principal} `, element("span", "code", each.who)));
  else id.push(element("span", "small", each.principal === "none" ? "not known who" : each.principal));
  return row([[time(each.at), "when"], [about, "about"], [rule, "rule"], [id, "id"]]);
}

function troubleRow(each) {
  const about = [status(each.status), element("span", "code word", each.reason), element("span", "small", each.what)];
  if (each.detail) about.push(element("span", "small", each.detail));
  return row([
    [time(each.at), "when"],
    [about, "about"],
    [element("span", "code", each.type || "not known"), "rule"],
    [element("span", "code", each.message_id || "not verified"), "id"],
  ]);
}

export function showEvents(told, isWhole) {
  const known = events.length ? events[0].number : 0;
  const fresh = told.newest.filter((each) => isWhole || each.number > known);
  if (isWhole) events = [];
  if (fresh.length === 0 && !isWhole) return;
  events = [...fresh, ...events].slice(0, KEPT_EVENTS);
  const heads = isWebhooks()
    ? [["time", "when"], ["what", "about"], ["type", "rule"], ["message", "id"]]
    : [["time", "when"], ["why", "about"], ["rule", "rule"], ["decision, and who", "id"]];
  const makeRow = isWebhooks() ? troubleRow : denialRow;
  const body = byId("events").tBodies[0];
  if (isWhole || body === undefined) {
    table("events", heads, events.map(makeRow));
    return;
  }
  // Only what is new is made anew: a selection or a place in the list stays.
  const rows = fresh.map(makeRow);
  for (const each of rows) each.classList.add("new");
  body.prepend(...rows);
  while (body.rows.length > KEPT_EVENTS) body.deleteRow(-1);
  showWhetherEmpty("events");
}
