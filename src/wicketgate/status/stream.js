// What is told: a stream of changes, taken up again whenever it ends.

const STREAM = "/status/events";
const DOCUMENT = "/status.json";
const SILENCE_MS = 5_000; // a message comes every second
const RETRY_MS = [500, 1_000, 2_000, 4_000, 8_000];
const POLL_MS = 2_000;
const PATIENCE_MS = 300_000; // as long as the charts go back, so that nothing is missed

// Follow, for as long as the token is good.
//
// `page` has the `headers` of each request, and is told: `take(told, isWhole)`,
// `connected(text)`, `lost(text)`, and in the end `wantsToken()`.
export async function follow(page) {
  let failures = 0;
  const taken = (told, isWhole, text) => {
    failures = 0;
    try {
      page.take(told, isWhole);
    } catch (defect) {
      reportError(defect); // it is ours, and no reason to connect anew
    }
    page.connected(text);
  };
  for (;;) {
    const abort = new AbortController();
    let isLeft = false;
    const looking = whenNobodyLooks(() => {
      isLeft = true;
      abort.abort();
    });
    let refusal = "";
    let wait = 0;
    try {
      const response = await ask(STREAM, page, abort);
      if (response.status === 401) {
        page.wantsToken();
        return;
      }
      if (response.ok) {
        await read(response, abort, (told, isWhole) => taken(told, isWhole, "live"));
      } else if (response.status === 503) {
        // As many watch as may: whoever needs it now still sees how it is.
        await response.text(); // else the connection stays taken
        const whole = await ask(DOCUMENT, page, abort);
        if (whole.ok) {
          taken(await whole.json(), true, "every 2 s, because as many as may are watching live");
          wait = POLL_MS;
        }
      } else {
        refusal = (await response.text()).trim();
      }
    } catch {
      // It is not there, or fell silent: said below.
    } finally {
      looking.end();
    }
    if (isLeft) {
      page.lost("paused, because nobody looked");
      await looking.again();
    } else if (wait) {
      await pause(wait);
    } else {
      page.lost(refusal);
      wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
      failures += 1;
      await pause(wait * (0.75 + Math.random() / 2));
    }
  }
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function ask(path, page, abort) {
  const silence = setTimeout(() => abort.abort(), SILENCE_MS);
  return fetch(path, {
    headers: page.headers(),
    cache: "no-store",
    credentials: "omit",
    signal: abort.signal,
  }).finally(() => clearTimeout(silence));
}

async function read(response, abort, taken) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const silence = setTimeout(() => abort.abort(), SILENCE_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const blocks = (buffer + value).split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      // The stream is ours, and uses these two fields.
      const fields = Object.fromEntries(block.split("\n").map((each) => each.split(/: (.*)/s, 2)));
      taken(JSON.parse(fields.data), fields.event === "whole");
    }
  }
}

// Tabs that were forgotten would take the streams, and a browser's connections, from who looks.
function whenNobodyLooks(left) {
  let timer;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(left, PATIENCE_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return {
    end() {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    },
    async again() {
      while (document.hidden) {
        await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
      }
    },
  };
}
