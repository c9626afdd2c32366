// The status page: reads a stream of changes, and shows them.
//
// Whatever comes from the stream is put into the page as text, never as markup. The page
// holds no state of its own but the token, which stays in this tab.

const STREAM = "/status/events";
const KEPT_EVENTS = 50;
const KEPT_SECONDS = 300;
const SILENCE_MS = 5_000; // a message comes every second
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
const TOKEN = "wicketgate status token";

const byId = (id) => document.getElementById(id);
const sections = {}; // what was told, by the name of its section
let events = [];
let history = { first: 1, good: [], bad: [], p99_ms: [] };
let clockOffset = 0; // server's clock less ours, in seconds
let attempts = 0;
let lastMessage = null;

// --- words ---------------------------------------------------------------------

const isWebhooks = () => sections.process?.kind === "webhooks";
const grouped = (number) => Math.round(number).toLocaleString("en");

function rate(number) {
  if (number >= 100) return grouped(number);
  return number >= 10 ? number.toFixed(1) : number === 0 ? "0" : number.toFixed(2);
}

function milliseconds(number) {
  if (number === null) return "–";
  return number >= 100 ? grouped(number) : String(number);
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

const clockTime = (date) => date.toLocaleTimeString("en-GB");
const isToday = (date) => date.toDateString() === new Date().toDateString();
const day = (date) =>
  `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
const moment = (date) => (isToday(date) ? clockTime(date) : `${day(date)} ${clockTime(date)}`);
const now = () => Date.now() / 1_000 + clockOffset;

// --- elements ------------------------------------------------------------------

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children); // strings become text
  return made;
}

function time(seconds) {
  const date = new Date(seconds * 1_000);
  const made = element("time", "", moment(date));
  made.dateTime = date.toISOString();
  made.title = `${day(date)} ${clockTime(date)}`;
  return made;
}

function say(id, text) {
  const found = byId(id);
  if (found.textContent !== text) found.textContent = text;
}

function show(id, isShown) {
  byId(id).hidden = !isShown;
}

// Roles are written out because narrow screens lay some tables out as something else.
function row(cells, className = "") {
  const made = element("tr", className);
  made.setAttribute("role", "row");
  for (const [content, cellClass] of cells) {
    const cell = element("td", cellClass ?? "", ...[content].flat());
    cell.setAttribute("role", "cell");
    made.append(cell);
  }
  return made;
}

function table(id, heads, rows) {
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
  const empty = byId(`${id}-empty`);
  if (empty !== null && id !== "events") {
    found.hidden = rows.length === 0;
    empty.hidden = rows.length > 0;
  }
}

function list(id, pairs) {
  const items = pairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
  byId(id).replaceChildren(...items);
}

function pill(text, state) {
  const kinds = { ready: "is-good", degraded: "is-doubtful", "not ready": "is-bad", draining: "is-doubtful" };
  return element("span", `pill ${kinds[state] ?? ""}`, text);
}

// --- charts --------------------------------------------------------------------

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

// --- sections ------------------------------------------------------------------

function showProcess(process) {
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
  list("process", [
    ["version", process.version],
    ["started", time(process.started_at)],
    ...Object.entries(process.facts),
  ]);
  showUptime();
}

function showUptime() {
  const process = sections.process;
  if (process) say("about", `${process.version}, up for ${duration(now() - process.started_at)}`);
}

function showNumbers(good, bad, numbers, goodMore, badMore) {
  say("good-rate", rate(good));
  say("bad-rate", rate(bad));
  say("p50", milliseconds(numbers.p50_ms));
  say("p99", milliseconds(numbers.p99_ms));
  say("good-more", goodMore);
  say("bad-more", badMore);
}

function showDecisions(told) {
  showNumbers(
    told.allowed_per_second,
    told.denied_per_second,
    told,
    `${grouped(told.allowed)} in all`,
    `${grouped(told.denied)} in all`,
  );
  showRevocationsAndConnections();
}

function showDeliveries(told) {
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

function showReasons(reasons) {
  const most = Math.max(1, ...reasons.map((each) => each.total));
  table(
    "reasons",
    [["reason"], ["/s", "number"], ["total", "number"]],
    reasons.map((each) => {
      const bar = element("progress", "bar");
      bar.max = most;
      bar.value = each.total;
      bar.setAttribute("aria-hidden", "true");
      const name = [element("span", "code word", each.reason), bar];
      const words = sections.words?.[each.reason];
      if (words) name.push(element("span", "small", words.advice));
      return row([[name], [rate(each.per_second), "number"], [grouped(each.total), "number"]]);
    }),
  );
}

function status(code) {
  return element("span", `status s${code}`, String(code));
}

function denialRow(each) {
  const about = [status(each.status), element("span", "code word", each.reason), element("span", "small", each.title)];
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

function showWhetherEmpty() {
  show("events-scroll", events.length > 0);
  show("events-empty", events.length === 0);
}

function showEvents(told, isWhole) {
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
    showWhetherEmpty();
    return;
  }
  // Only what is new is made anew: a selection or a place in the list stays.
  const rows = fresh.map(makeRow);
  for (const each of rows) each.classList.add("new");
  body.prepend(...rows);
  while (body.rows.length > KEPT_EVENTS) body.deleteRow(-1);
  showWhetherEmpty();
}

function showHistory(told, isWhole) {
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

function showKeys(keys) {
  show("keys-section", true);
  say(
    "keys-said",
    keys.source === "pem" ? "One key, from CLERK_JWT_KEY; none is ever fetched." : keys.error,
  );
  const rows = keys.keys.map((each) => row([[element("span", "code", each.kid || "for every kid")], [time(each.known_since), "number"]]));
  table("keys", [["kid"], ["known since", "number"]], rows.length ? rows : [row([["none"], ["", "number"]])]);
  showKeyAge();
}

function showKeyAge() {
  const keys = sections.keys;
  if (!keys || keys.source === "pem" || keys.error) return;
  say("keys-said", keys.last_success_at === null ? "Not fetched yet." : `Fetched ${duration(now() - keys.last_success_at)} ago, ${keys.failures} failures since.`);
}

function ruleRow(each) {
  const name = [element("span", "code word", each.name)];
  if (each.about) name.push(element("span", "small code", each.about));
  if (each.shadow) name.push(element("span", "small", "shadow: decides nothing, would have"));
  return row(
    [[name], [each.admits], ["", "number"], ["", "number"]],
    each.shadow ? "shadow" : "",
  );
}

function showPolicy(isPolicyNew) {
  const { policy, hits } = sections;
  if (!policy || !hits) return;
  show("policy-section", true);
  const said = byId("policy-said");
  if (policy.source === "file") {
    said.replaceChildren(
      "File ",
      element("span", "code", policy.digest),
      `, ${grouped(policy.number)} rules and the default, in force since `,
      time(policy.loaded_at),
      policy.stale_since === null ? "." : ". What was written since cannot be used.",
    );
  } else {
    said.replaceChildren("The routes say what they demand: no policy file. Rules that have decided:");
  }
  if (isPolicyNew) {
    table(
      "rules",
      [["rule"], ["admits"], ["allowed", "number"], ["denied", "number"]],
      policy.rules.map(ruleRow),
    );
  }
  const rows = byId("rules").tBodies[0].rows;
  hits.rows.forEach(([allowed, denied], index) => {
    const cells = rows[index].cells;
    cells[2].textContent = grouped(allowed);
    cells[3].textContent = grouped(denied);
  });
  const [allowed, denied] = hits.others;
  const others = allowed + denied ? ` Rules beyond the first thousand allowed ${grouped(allowed)} and denied ${grouped(denied)}.` : "";
  say("rules-left-out", policy.left_out ? `${grouped(policy.left_out)} further rules are left out: shown are the first, and those that decide most.${others}` : "");
}

function showRevocationsAndConnections() {
  const { revocations, decisions } = sections;
  show("revocations-section", Boolean(revocations));
  if (revocations) {
    list("revocations", [
      ["state", pill(revocations.state, revocations.state)],
      ["users", grouped(revocations.users)],
      ["sessions", grouped(revocations.sessions)],
      ["certain until", revocations.stale_seconds === null ? "nothing is known" : `${duration(revocations.stale_seconds)} ago`],
      ["users are let in", revocations.users_let_in ? "yes" : "no"],
    ]);
  }
  const process = sections.process;
  if (process && decisions) {
    list("process", [
      ["version", process.version],
      ["started", time(process.started_at)],
      ...Object.entries(process.facts),
      ...(decisions.connections === null ? [] : [["connections", grouped(decisions.connections)]]),
      ["known tokens", grouped(decisions.cache_hits)],
    ]);
    const words = { user: "users", service: "services", anonymous: "anyone, where open", none: "not known who" };
    const principals = Object.entries(decisions.principals).sort(([, one], [, other]) => other - one);
    show("principals-section", principals.length > 0);
    list("principals", principals.map(([name, number]) => [words[name] ?? name, grouped(number)]));
  }
}

function showOutcomes(outcomes) {
  show("outcomes-section", true);
  table(
    "outcomes",
    [["type"], ["outcome"], ["total", "number"]],
    outcomes.map((each) => row([[element("span", "code", each.type)], [each.outcome], [grouped(each.total), "number"]])),
  );
}

function troubles() {
  const found = [];
  const { process, keys, policy, revocations } = sections;
  if (process?.draining) found.push(["is-doubtful", "It is leaving: it answers what still comes, and ends soon."]);
  for (const [name, state] of Object.entries(process?.components ?? {})) {
    if (state !== "ready" && !(process.draining && name === "accepting")) found.push([state === "degraded" ? "is-doubtful" : "is-bad", `${name}: ${state}`]);
  }
  if (keys?.failures) found.push(["is-doubtful", `Clerk's keys were not fetched, ${keys.failures} times in a row: ${keys.error}`]);
  if (policy?.stale_since) found.push(["is-doubtful", `What was written last cannot be used, and the old stays in force, since ${moment(new Date(policy.stale_since * 1_000))}. The log says why.`]);
  if (revocations && !revocations.users_let_in) found.push(["is-bad", "It has been unknown for too long who was revoked: users are refused."]);
  const text = JSON.stringify(found);
  const place = byId("troubles");
  if (place.dataset.told === text) return;
  place.dataset.told = text;
  place.replaceChildren(...found.map(([kind, said]) => element("li", kind, said)));
}

// --- what is told ----------------------------------------------------------------

function take(told, isWhole) {
  clockOffset = told.at === undefined ? clockOffset : told.at - Date.now() / 1_000;
  Object.assign(sections, told);
  if (told.process) showProcess(told.process);
  if (told.decisions || told.revocations !== undefined || told.process) {
    if (sections.decisions) showDecisions(sections.decisions);
  }
  if (told.deliveries) showDeliveries(told.deliveries);
  if (told.reasons) showReasons(told.reasons);
  if (told.events) showEvents(told.events, isWhole);
  if (told.history) showHistory(told.history, isWhole);
  if (told.keys) showKeys(told.keys);
  if (told.policy || told.hits) showPolicy(told.policy !== undefined);
  if (told.outcomes) showOutcomes(told.outcomes);
  troubles();
  show("main", true);
}

function connection(kind, text) {
  document.body.className = kind;
  say("connection", text);
}

// One message of an event stream; the stream is ours and uses no other field.
function message(block) {
  const fields = Object.fromEntries(block.split("\n").map((each) => each.split(/: (.*)/s, 2)));
  if (fields.data === undefined) return;
  lastMessage = Date.now();
  take(JSON.parse(fields.data), fields.event === "whole");
  attempts = 0;
  connection("live", "live");
}

// --- the connection --------------------------------------------------------------

async function read(response, abort) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const silence = setTimeout(() => abort.abort(), SILENCE_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const blocks = (buffer + value).split("\n\n");
    buffer = blocks.pop();
    blocks.forEach(message);
  }
}

async function connect() {
  const abort = new AbortController();
  const token = sessionStorage.getItem(TOKEN);
  const silence = setTimeout(() => abort.abort(), SILENCE_MS);
  const response = await fetch(STREAM, {
    headers: token ? { authorization: `Bearer ${token}` } : {},
    cache: "no-store",
    credentials: "omit",
    signal: abort.signal,
  });
  clearTimeout(silence);
  if (response.ok) {
    show("entry", false);
    await read(response, abort);
    return "";
  }
  if (response.status === 401) {
    askForToken(token !== null);
    return null;
  }
  return (await response.text()).trim();
}

async function stayConnected() {
  for (;;) {
    let refused = "";
    try {
      refused = await connect();
    } catch {
      // It is not there, or fell silent: said below.
    }
    if (refused === null) return;
    if (refused) connection("stale", refused);
    else connection("stale", lastMessage === null ? "not connected; trying again" : `not connected since ${clockTime(new Date(lastMessage))}; trying again`);
    const wait = RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)];
    attempts += 1;
    await new Promise((done) => setTimeout(done, wait * (0.75 + Math.random() / 2)));
  }
}

function askForToken(isWrong) {
  sessionStorage.removeItem(TOKEN);
  connection(lastMessage === null ? "waiting" : "stale", "a token is needed");
  say("token-wrong", isWrong ? "That token is not known here." : "");
  show("entry", true);
  byId("token").focus();
}

byId("entry").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const token = byId("token").value.trim();
  byId("token").value = "";
  if (!/^[!-~]+$/.test(token)) {
    say("token-wrong", "A token is made of visible ASCII characters.");
    return;
  }
  sessionStorage.setItem(TOKEN, token);
  stayConnected();
});

setInterval(() => {
  if (document.body.className !== "live") return;
  showUptime();
  showKeyAge();
}, 1_000);

stayConnected();
