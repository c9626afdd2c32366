// Node behind the gate, without a framework: who is asking?
//
// Run: node node_app.mjs 8081
import { createServer } from "node:http";

const USER_ID = /^user_[A-Za-z0-9]+$/;

/** The Clerk id of the user, or null when nobody is signed in. */
function signedInUser(request) {
  // headersDistinct, because headers joins what came twice.
  const values = request.headersDistinct["clerk_user_id"];
  if (values === undefined) return null;
  if (values.length !== 1 || !USER_ID.test(values[0])) {
    throw new Error("the gate did not write this identity header");
  }
  return values[0];
}

createServer((request, response) => {
  response.setHeader("content-type", "application/json");
  try {
    response.end(JSON.stringify({ user: signedInUser(request) }));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify({ error: error.message }));
  }
}).listen(Number(process.argv[2]), "127.0.0.1");
