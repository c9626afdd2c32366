// Why requests were denied, or deliveries not taken.

import { element, row, table } from "./elements.js";
import { sections } from "./told.js";
import { grouped, rate } from "./words.js";

// A reason, and a link to where it is explained, if there is such a place.
export function reasonName(reason) {
  const link = sections.words?.[reason]?.link;
  if (!link || !/^https?:\/\//.test(link)) return element("span", "code word", reason);
  return Object.assign(element("a", "code word", reason), { href: link, rel: "noreferrer" });
}

export function showReasons(reasons) {
  const most = Math.max(1, ...reasons.map((each) => each.total));
  table(
    "reasons",
    [["reason"], ["/s", "number"], ["total", "number"]],
    reasons.map((each) => {
      const bar = element("progress", "bar");
      bar.max = most;
      bar.value = each.total;
      bar.setAttribute("aria-hidden", "true");
      const name = [reasonName(each.reason), bar];
      const words = sections.words?.[each.reason];
      if (words) name.push(element("span", "small", words.advice));
      return row([[name], [rate(each.per_second), "number"], [grouped(each.total), "number"]]);
    }),
  );
}
