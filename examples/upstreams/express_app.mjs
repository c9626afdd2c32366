// Express behind the gate: who is asking?
//
// Run: node express_app.mjs 8081
import express from "express";

const USER_ID = /^user_[A-Za-z0-9]+$/;

/** Middleware: request.user is a Clerk id, or null when nobody is signed in. */
function identity(request, response, next) {
  // headersDistinct, because request.get() and headers join what came twice.
  const values = request.headersDistinct["clerk_user_id"];
  if (values !== undefined && (values.length !== 1 || !USER_ID.test(values[0]))) {
    response.status(500).json({ error: "the gate did not write this identity header" });
    return;
  }
  request.user = values?.[0] ?? null;
  next();
}

const app = express();
app.disable("x-powered-by");
app.use(identity);
app.get("/{*path}", (request, response) => response.json({ user: request.user }));
app.listen(Number(process.argv[2]), "127.0.0.1");
