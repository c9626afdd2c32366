// Elements of the page. Whatever is put into one becomes text, never markup.

import { clockTime, day, moment } from "./words.js";

export const byId = (id) => document.getElementById(id);

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children); // strings become text
  return made;
}

export function time(seconds) {
  const date = new Date(seconds * 1_000);
  const made = element("time", "", moment(date));
  made.dateTime = date.toISOString();
  made.title = `${day(date)} ${clockTime(date)}`;
  return made;
}

export function say(id, text) {
  const found = byId(id);
  if (found.textContent !== text) found.textContent = text;
}

export function show(id, isShown) {
  byId(id).hidden = !isShown;
}

// Roles are written out because narrow screens lay some tables out as something else.
export function row(cells, className = "") {
  const made = element("tr", className);
  made.setAttribute("role", "row");
  for (const [content, cellClass] of cells) {
    const cell = element("td", cellClass ?? "", ...[content].flat());
    cell.setAttribute("role", "cell");
    made.append(cell);
  }
  return made;
}

export function table(id, heads, rows) {
  const found = byId(id);
  if (found.tHead === null) {
    const head = element("tr", "");
    head.setAttribute("role", "row");
    for (const [text, className] of heads) {
      const cell = element("th", className ?? "", text);
      cell.scope = "col";
      cell.setAttribute("role", "columnheader");
      head.append(cell);
    }
    const body = found.createTBody();
    body.setAttribute("role", "rowgroup");
    found.createTHead().append(head);
    found.tHead.setAttribute("role", "rowgroup");
    found.setAttribute("role", "table");
  }
  found.tBodies[0].replaceChildren(...rows);
  showWhetherEmpty(id);
}

// A table without rows is hidden, and what scrolls it, for who goes through the page by keys.
export function showWhetherEmpty(id) {
  const empty = byId(`${id}-empty`);
  if (empty === null) return;
  empty.hidden = byId(id).tBodies[0].rows.length > 0;
  (byId(`${id}-scroll`) ?? byId(id)).hidden = !empty.hidden;
}

export function list(id, pairs) {
  const items = pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
  byId(id).replaceChildren(...items);
}

export function pill(text, state) {
  const kinds = { ready: "is-good", degraded: "is-doubtful", "not ready": "is-bad", draining: "is-doubtful" };
  return element("span", `pill ${kinds[state] ?? ""}`, text);
}

export function status(code) {
  return element("span", `status s${code}`, String(code));
}
