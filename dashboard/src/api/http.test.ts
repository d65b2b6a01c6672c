import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { answerOf, api, credentials, keyed, onSignedOut, Problem } from "./http";

let sent: Request[];
let respond: (request: Request) => Promise<Response>;

beforeEach(() => {
  sent = [];
  respond = () => Promise.resolve(Response.json({}));
  vi.stubGlobal("fetch", (request: Request) => {
    sent.push(request);
    return respond(request);
  });
  Object.assign(credentials, { csrf: "word", client: "cli-1" });
});
afterEach(() => {
  vi.unstubAllGlobals();
  onSignedOut(() => undefined);
  Object.assign(credentials, { csrf: "", client: "" });
});

const refuse = (status: number, document: object) => () =>
  Promise.resolve(Response.json(document, { status }));
const problemOf = (call: Promise<unknown>): Promise<Problem> =>
  call.then(
    () => expect.fail("it was answered"),
    (error: unknown) => error as Problem,
  );
const promote = () =>
  api.POST("/api/servers/{server_id}/promote", {
    params: { path: { server_id: "srv-1" }, header: keyed("page-1") },
    body: { wait: true },
  });

it("sends with a change what shows that this page made it, for whom, and under which key", async () => {
  await promote();
  const headers = sent[0]?.headers;
  expect(headers?.get("X-CSRF-Token")).toBe("word");
  expect(headers?.get("X-Spot-Client")).toBe("cli-1");
  expect(headers?.get("Idempotency-Key")).toBe("page-1");
  expect(await sent[0]?.json()).toEqual({ wait: true });
});

it("sends no word with a reading, and nothing of the session beside a token", async () => {
  await api.GET("/api/summary");
  await api.POST("/api/session", { headers: { Authorization: "Bearer spt_x" } });
  expect(sent[0]?.headers.has("X-CSRF-Token")).toBe(false);
  expect(sent[0]?.headers.get("X-Spot-Client")).toBe("cli-1");
  expect(sent[1]?.headers.has("X-CSRF-Token")).toBe(false);
  expect(sent[1]?.headers.has("X-Spot-Client")).toBe(false);
});

it("leaves the slashes in a pool's name, and says nothing of what is not asked", async () => {
  const params = { path: { pool: "us-east-1a/m5.large/spot" }, query: { from: undefined, max_points: 400 } };
  await api.GET("/api/pools/{pool}/prices", { params });
  await api.GET("/api/fleet", { params: { query: { server_id: ["srv-1", "srv-2"] } } });
  const asked = sent.map(({ url }) => url.slice(location.origin.length));
  expect(asked).toEqual([
    "/api/pools/us-east-1a/m5.large/spot/prices?max_points=400",
    "/api/fleet?server_id=srv-1&server_id=srv-2",
  ]);
});

it("throws what the API refuses, by its name", async () => {
  respond = refuse(409, { type: "urn:spot-optimizer:problem:busy", title: "Busy", detail: "a switch runs" });
  const problem = await problemOf(promote());
  expect(problem).toBeInstanceOf(Problem);
  expect([problem.status, problem.kind, problem.message]).toEqual([409, "busy", "a switch runs"]);
});

it("throws also an answer that is no document", async () => {
  respond = () => Promise.resolve(new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
  const problem = await problemOf(promote());
  expect([problem.status, problem.title]).toEqual([502, "The API answered 502 Bad Gateway"]);
});

it("says once the session is over, and not to somebody who tries to sign in", async () => {
  const over = vi.fn();
  onSignedOut(over);
  respond = refuse(401, { title: "Not signed in" });
  await problemOf(api.GET("/api/summary"));
  credentials.csrf = "";
  await problemOf(api.GET("/api/summary"));
  expect(over).toHaveBeenCalledTimes(1);
});

it("calls no answer a problem of the connection, and a cancelled request nothing", async () => {
  respond = () => Promise.reject(new TypeError("failed to fetch"));
  const problem = await problemOf(api.GET("/api/summary"));
  expect([problem.status, problem.kind]).toEqual([0, "unreachable"]);
  const cancelled = new DOMException("cancelled", "AbortError");
  respond = () => Promise.reject(cancelled);
  expect(await problemOf(api.GET("/api/summary"))).toBe(cancelled);
});

it("gives the document of an answer, and nothing where there is none", async () => {
  respond = () => Promise.resolve(Response.json({ items: [] }));
  expect(await answerOf(api.GET("/api/webhooks"))).toEqual({ items: [] });
  respond = () => Promise.resolve(new Response(null, { status: 204 }));
  expect(await answerOf(api.DELETE("/api/session"))).toBeUndefined();
});
