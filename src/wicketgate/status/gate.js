// What only a gate has: decisions, keys, the policy, revocations.

import { byId, element, list, pill, row, say, show, table, time } from "./elements.js";
import { processFacts, showNumbers } from "./process.js";
import { now, sections } from "./told.js";
import { duration, grouped } from "./words.js";

export function showDecisions(told) {
  showNumbers(
    told.allowed_per_second,
    told.denied_per_second,
    told,
    `${grouped(told.allowed)} in all`,
    `${grouped(told.denied)} in all`,
  );
  showRevocationsAndConnections();
}

export function showKeys(keys) {
  show("keys-section", true);
  say(
    "keys-said",
    keys.source === "pem" ? "One key, from CLERK_JWT_KEY; none is ever fetched." : keys.error,
  );
  const rows = keys.keys.map((each) => row([[element("span", "code", each.kid || "for every kid")], [time(each.known_since), "number"]]));
  table("keys", [["kid"], ["known since", "number"]], rows.length ? rows : [row([["none"], ["", "number"]])]);
  showKeyAge();
}

export function showKeyAge() {
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

export function showPolicy(isPolicyNew) {
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
      ...(policy.stale_since === null
        ? ["."]
        : [". What was written since cannot be used, as was found at ", time(policy.stale_since), "."]),
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
      ...processFacts(process),
      ...(decisions.connections === null ? [] : [["connections", grouped(decisions.connections)]]),
      ["tokens seen before", grouped(decisions.cache_hits)],
    ]);
    const words = { user: "users", service: "services", anonymous: "anyone, where open", none: "not known who" };
    const principals = Object.entries(decisions.principals).sort(([, one], [, other]) => other - one);
    show("principals-section", principals.length > 0);
    list("principals", principals.map(([name, number]) => [words[name] ?? name, grouped(number)]));
  }
}
