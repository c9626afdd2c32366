// node --test; CLERK_FETCH names the module that is tested, ./clerk-fetch.mjs unless said otherwise.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";

const { clerkFetch, makeClerkFetch } = await import(
  process.env.CLERK_FETCH ?? "./clerk-fetch.mjs"
);

const EXPIRED = { reason: "token_expired", status: 401 };

/** A server on loopback that keeps what it was sent and answers what `script` says. */
class Server {
  seen = [];
  script = () => ({});

  async start() {
    this.http = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const { method, url, headers } = request;
      this.seen.push({ method, url, body, token: headers.authorization });
      const answer = this.script(this.seen.length, headers);
      const kind = answer.kind ?? "application/json";
      response.writeHead(answer.status ?? 200, { "content-type": kind, ...answer.headers });
      response.end(answer.body ?? JSON.stringify(answer.json ?? { done: true }));
    });
    await new Promise((resolve) => this.http.listen(0, "127.0.0.1", resolve));
    this.origin = `http://127.0.0.1:${this.http.address().port}`;
  }

  stop() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }
}

const api = new Server();
const stranger = new Server();

before(() => Promise.all([api.start(), stranger.start()]));
after(() => Promise.all([api.stop(), stranger.stop()]));
beforeEach(() => {
  for (const server of [api, stranger]) {
    server.seen = [];
    server.script = () => ({});
  }
});

/** The gate's answer to an expired token. */
const denied = (json = EXPIRED, kind = "application/problem+json") => ({ status: 401, kind, json });

/** Clerk's session: gives `tokens` in turn, and keeps how it was asked. */
function session(...tokens) {
  const asked = [];
  const getToken = async (options) => {
    asked.push(options?.skipCache === true);
    return tokens[Math.min(asked.length, tokens.length) - 1];
  };
  return { asked, getToken };
}

const fetchWith = (getToken) => makeClerkFetch({ baseUrl: api.origin, getToken });

test("a request carries the session token, and its answer is status, data and headers", async () => {
  const { asked, getToken } = session("one");
  const answer = await fetchWith(getToken)("/v1/me?a=b");

  assert.deepEqual(answer.data, { done: true });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.deepEqual(api.seen, [{ method: "GET", url: "/v1/me?a=b", body: "", token: "Bearer one" }]);
  assert.deepEqual(asked, [false]);
});

for (const nothing of [null, undefined, ""]) {
  test(`nobody who is signed in (${JSON.stringify(nothing)}) means no header`, async () => {
    const { getToken } = session(nothing);
    await fetchWith(getToken)("/v1/me");

    assert.equal(api.seen[0].token, undefined);
  });
}

test("an expired token is replaced once, and the request is sent again whole", async () => {
  api.script = (attempt) => (attempt === 1 ? denied() : {});
  const { asked, getToken } = session("old", "new");
  const init = { method: "POST", body: '{"a":1}', headers: { "content-type": "application/json" } };
  const answer = await fetchWith(getToken)("/v1/notes", init);

  assert.equal(answer.status, 200);
  assert.deepEqual(asked, [false, true]);
  assert.deepEqual(
    api.seen.map(({ method, body, token }) => [method, body, token]),
    [
      ["POST", '{"a":1}', "Bearer old"],
      ["POST", '{"a":1}', "Bearer new"],
    ],
  );
});

test("a second expired answer is the caller's", async () => {
  api.script = () => denied();
  const answer = await fetchWith(session("old", "new").getToken)("/v1/me");

  assert.equal(answer.status, 401);
  assert.deepEqual(answer.data, EXPIRED);
  assert.equal(api.seen.length, 2);
});

for (const [why, answer] of [
  ["another reason", denied({ ...EXPIRED, reason: "user_revoked" })],
  ["a 401 of the upstream's own", denied(EXPIRED, "application/json")],
  ["a 401 without a body", { status: 401, kind: "application/problem+json", body: "" }],
  ["text that says so", { status: 401, kind: "text/plain", body: "token_expired" }],
  ["another status", { ...denied(), status: 403 }],
]) {
  test(`not retried: ${why}`, async () => {
    api.script = () => answer;
    const { asked, getToken } = session("old", "new");
    await fetchWith(getToken)("/v1/me");

    assert.equal(api.seen.length, 1);
    assert.deepEqual(asked, [false]);
  });
}

for (const [why, next] of [
  ["the same token", "old"],
  ["no token", null],
]) {
  test(`not retried when Clerk answers with ${why}`, async () => {
    api.script = () => denied();
    const answer = await fetchWith(session("old", next).getToken)("/v1/me");

    assert.equal(answer.status, 401);
    assert.equal(api.seen.length, 1);
  });
}

test("a stream is not sent twice", async () => {
  api.script = () => denied();
  const body = new Blob(["audio"]).stream();
  const answer = await fetchWith(session("old", "new").getToken)("/v1/audio", {
    method: "POST",
    body,
    duplex: "half",
  });

  assert.equal(answer.status, 401);
  assert.equal(api.seen.length, 1);
});

test("requests that expire together renew the token once", async () => {
  let told = 0;
  let renewals = 0;
  const send = makeClerkFetch({
    baseUrl: api.origin,
    getToken: async (options) => {
      if (options?.skipCache !== true) return "old";
      renewals += 1;
      // Until every request has been told, and has had its turn.
      while (told < 3) await new Promise(setImmediate);
      await new Promise(setImmediate);
      return "new";
    },
    fetch: async (_, { headers }) => {
      if (headers.get("authorization") === "Bearer new") return new Response(null);
      const kind = new Headers({ "content-type": "application/problem+json" });
      const text = async () => {
        told += 1;
        return JSON.stringify(EXPIRED);
      };
      return { status: 401, headers: kind, text };
    },
  });
  const answers = await Promise.all([send("/a"), send("/b"), send("/c")]);

  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
  );
  assert.equal(renewals, 1);
});

for (const [how, path] of [
  ["an absolute URL", () => `${stranger.origin}/x`],
  ["a URL without a scheme", () => `//127.0.0.1:${new URL(stranger.origin).port}/x`],
]) {
  test(`another origin gets no token: ${how}`, async () => {
    const { asked, getToken } = session("one");
    await fetchWith(getToken)(path());

    assert.deepEqual(
      stranger.seen.map(({ token }) => token),
      [undefined],
    );
    assert.deepEqual(asked, []);
  });
}

for (const baseUrl of ["file:///a", "app://localhost", "data:,x"]) {
  test(`a base that has no origin is refused: ${baseUrl}`, () => {
    const { getToken } = session("one");
    assert.throws(() => makeClerkFetch({ baseUrl, getToken }), TypeError);
  });
}

test("another origin that answers token_expired gets no token either", async () => {
  stranger.script = () => denied();
  await fetchWith(session("one", "two").getToken)(`${stranger.origin}/x`);

  assert.deepEqual(
    stranger.seen.map(({ token }) => token),
    [undefined],
  );
});

test("a redirect to another origin leaves the token behind", async () => {
  api.script = () => ({ status: 307, headers: { location: `${stranger.origin}/x` } });
  await fetchWith(session("one").getToken)("/v1/me");

  assert.deepEqual([api.seen[0].token, stranger.seen[0].token], ["Bearer one", undefined]);
});

test("a failure of the network is the caller's", async () => {
  const send = makeClerkFetch({
    baseUrl: api.origin,
    getToken: session("one").getToken,
    fetch: () => Promise.reject(new TypeError("no network")),
  });

  await assert.rejects(send("/v1/me"), /no network/);
});

for (const [kind, body, expected] of [
  ["application/json", '{"a":1}', { a: 1 }],
  ["application/vnd.api+json; charset=utf-8", "[1]", [1]],
  ["text/plain", "hello", "hello"],
  ["application/json", "", undefined],
  ["application/json", "<h1>502</h1>", "<h1>502</h1>"],
]) {
  test(`a body of ${kind} (${body.length} characters) is read`, async () => {
    api.script = () => ({ kind, body });
    const { data } = await fetchWith(session("one").getToken)("/x");

    assert.deepEqual(data, expected);
  });
}

test("audio is a Blob", async () => {
  api.script = () => ({ kind: "audio/ogg", body: "OggS" });
  const { data } = await fetchWith(session("one").getToken)("/x");

  assert.equal(await data.text(), "OggS");
});

test("the mutator takes the page's own Clerk", async (t) => {
  t.after(() => {
    delete globalThis.location;
    delete globalThis.Clerk;
  });
  globalThis.location = { origin: api.origin };
  globalThis.Clerk = { session: { getToken: session("of the page").getToken } };
  await clerkFetch("/v1/me");
  globalThis.Clerk.session = null; // signed out
  await clerkFetch("/v1/me");

  assert.deepEqual(
    api.seen.map(({ token }) => token),
    ["Bearer of the page", undefined],
  );
});
