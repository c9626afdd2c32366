// A fetch that is signed in with Clerk: the mutator of Orval-generated clients, or used by itself.
//
// - The session token goes to the API's origin and to no other.
// - A 401 whose problem document says `token_expired` is retried once, with a token that Clerk mints
//   anew. Every other answer, a second 401 included, is the caller's.
//
// In orval.config.ts:
//
//   output: { client: "fetch", override: { mutator: { path: "./clerk-fetch.ts", name: "clerkFetch" } } }
//
// With `client: "react-query"`, also `httpClient: "fetch"`. An answer that is not 2xx is an answer, no
// exception: Orval's types tell them apart by `status`.
//
// `make example-js` makes clerk-fetch.mjs of clerk-fetch.ts.
export function makeClerkFetch({ baseUrl, getToken, fetch = globalThis.fetch }) {
    const api = new URL(baseUrl).origin;
    // Every other scheme has the origin "null", and so would a stranger of such a scheme.
    if (api === "null")
        throw new TypeError("baseUrl is not an http or https URL");
    let renewing;
    /** Requests that expire together wait for one new token. */
    function renewed() {
        renewing ??= getToken({ skipCache: true }).finally(() => {
            renewing = undefined;
        });
        return renewing;
    }
    async function send(url, init, token) {
        const headers = new Headers(init.headers);
        if (token)
            headers.set("authorization", `Bearer ${token}`);
        const response = await fetch(url, { ...init, headers });
        return { data: await bodyOf(response), status: response.status, headers: response.headers };
    }
    return async function clerkFetch(path, init = {}) {
        const url = new URL(path, baseUrl);
        const isOurs = url.origin === api;
        const token = isOurs ? await getToken() : null;
        const first = await send(url, init, token);
        // A stream was read by the first attempt, and cannot be sent again.
        const isRepeatable = !(init.body instanceof ReadableStream);
        if (!token || !isRepeatable || !saysExpired(first))
            return first;
        const fresh = await renewed();
        // The same token, or none: asking again would be denied again.
        if (!fresh || fresh === token)
            return first;
        return (await send(url, init, fresh));
    };
}
let shared;
const page = globalThis;
/** The mutator, for a page on which Clerk's script has loaded. */
export const clerkFetch = (path, init) => {
    shared ??= makeClerkFetch({
        baseUrl: globalThis.location.origin, // or where your API is
        getToken: async (options) => (await page.Clerk?.session?.getToken(options)) ?? null,
    });
    return shared(path, init);
};
function saysExpired({ status, data, headers }) {
    return (status === 401 &&
        kindOf(headers) === "application/problem+json" &&
        data?.reason === "token_expired");
}
async function bodyOf(response) {
    const kind = kindOf(response.headers);
    if (/^application\/(.+\+)?json$/.test(kind)) {
        const text = await response.text();
        try {
            return text === "" ? undefined : JSON.parse(text);
        }
        catch {
            // A proxy on the way may say that its page is JSON.
            return text;
        }
    }
    if (kind === "")
        return undefined;
    return kind.startsWith("text/") ? response.text() : response.blob();
}
function kindOf(headers) {
    return (headers.get("content-type") ?? "").split(";")[0].trim().toLowerCase();
}
