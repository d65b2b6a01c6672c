/** What to do about a problem, where the API's own words do not say it already. */
const ADVICE: Record<string, string> = {
  unreachable: "It is tried again by itself; nothing that was confirmed is lost.",
  busy: "Wait for the running operation, or let this one queue behind it.",
  "same-pool": "Choose another pool.",
  "pool-refused": "Choose another pool, or widen the server's policy.",
  ended: "Adopt or launch it again to bring it back.",
  "no-worker": "Start a worker, then ask again: the same request is not carried out twice.",
  "temporal-unreachable": "Ask again once Temporal answers: the same request is not carried out twice.",
  "database-unreachable": "Rescues go on meanwhile. Ask again once the database answers.",
  forbidden: "Sign in with a token that may do this.",
  "cross-site": "Reload the page and try again.",
  "too-many": "Wait a minute before the next try.",
  internal: "Look for the request's ID in the API's log.",
};

export const adviceOn = (kind: string): string => ADVICE[kind] ?? "";
