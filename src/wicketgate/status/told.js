// What was told so far, by the name of its section, and the time there.

export const sections = {};

let clockOffset = 0; // their clock less ours, in seconds

export const now = () => Date.now() / 1_000 + clockOffset;
export const isWebhooks = () => sections.process?.kind === "webhooks";

export function remember(told) {
  if (told.at !== undefined) clockOffset = told.at - Date.now() / 1_000;
  Object.assign(sections, told);
}
