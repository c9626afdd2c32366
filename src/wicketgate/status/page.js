// The status page: follows what a process tells, and shows it.
//
// Whatever comes from there is put into the page as text, never as markup. The page holds no
// state but what it was told, and the token, which stays in this tab.

import { showHistory } from "./status/charts.js";
import { byId, say, show } from "./status/elements.js";
import { showEvents } from "./status/events.js";
import { showDecisions, showKeyAge, showKeys, showPolicy } from "./status/gate.js";
import { showProcess, showTroubles, showUptime } from "./status/process.js";
import { showReasons } from "./status/reasons.js";
import { showDeliveries, showOutcomes } from "./status/receiver.js";
import { follow } from "./status/stream.js";
import { remember, sections } from "./status/told.js";
import { clockTime } from "./status/words.js";

const TOKEN = "wicketgate status token";

let lastTold = null;

function take(told, isWhole) {
  remember(told);
  lastTold = new Date();
  if (told.process) showProcess(told.process);
  if (sections.decisions && (told.decisions || told.revocations !== undefined || told.process)) {
    showDecisions(sections.decisions);
  }
  if (told.deliveries) showDeliveries(told.deliveries);
  if (told.reasons) showReasons(told.reasons);
  if (told.events) showEvents(told.events, isWhole);
  if (told.history) showHistory(told.history, isWhole);
  if (told.keys) showKeys(told.keys);
  if (told.policy || told.hits) showPolicy(told.policy !== undefined);
  if (told.outcomes) showOutcomes(told.outcomes);
  showTroubles();
  show("main", true);
}

function connection(kind, text) {
  document.body.className = kind;
  say("connection", text);
}

function headers() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
}

function connected(text) {
  show("entry", false);
  connection("live", text);
}

function lost(why) {
  const since = lastTold === null ? "not connected" : `not connected since ${clockTime(lastTold)}`;
  connection("stale", why || `${since}; trying again`);
}

function wantsToken() {
  const isWrong = sessionStorage.getItem(TOKEN) !== null;
  sessionStorage.removeItem(TOKEN);
  connection(lastTold === null ? "waiting" : "stale", "a token is needed");
  say("token-wrong", isWrong ? "That token is not known here." : "");
  show("entry", true);
  byId("token").focus();
}

const page = { headers, take, connected, lost, wantsToken };

byId("entry").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const token = byId("token").value.trim();
  byId("token").value = "";
  if (!/^[!-~]+$/.test(token)) {
    say("token-wrong", "A token is made of visible ASCII characters.");
    return;
  }
  sessionStorage.setItem(TOKEN, token);
  follow(page);
});

setInterval(() => {
  if (document.body.className !== "live") return;
  showUptime();
  showKeyAge();
}, 1_000);

follow(page);
