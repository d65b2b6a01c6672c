/** The API of this origin, typed by its OpenAPI document; its errors as they are meant for people. */
import createClient, { defaultPathSerializer, type Middleware } from "openapi-fetch";
import type { paths } from "./schema";
import type { Schemas } from "./types";

export class Problem extends Error {
  readonly status: number;
  /** The stable name: `busy`, `pool-refused`, ...; `unreachable` when no answer came. */
  readonly kind: string;
  readonly title: string;
  readonly fields: Schemas["FieldError"][];
  readonly findings: Schemas["FindingDocument"][];
  readonly requestId: string;

  constructor(document: Partial<Schemas["ProblemDocument"]>, status: number) {
    super(document.detail || document.title || `HTTP ${status}`);
    this.name = "Problem";
    this.status = status;
    this.kind = (document.type ?? "").split(":").at(-1) || "http";
    this.title = document.title ?? "The request failed";
    this.fields = document.errors ?? [];
    this.findings = document.findings ?? [];
    this.requestId = document.request_id ?? "";
  }
}

/** What a request carries besides its cookie; kept in memory alone. */
export const credentials = { csrf: "", client: "" };

let signedOut: () => void = () => undefined;

/** Called when the API says that nobody is signed in any more. */
export function onSignedOut(listener: () => void): void {
  signedOut = listener;
}

export const api = createClient<paths>({
  baseUrl: location.origin,
  credentials: "same-origin",
  headers: { Accept: "application/json" },
  fetch: (request) => fetch(request),
  // A pool's name has slashes in it; some proxies refuse a path in which they are encoded.
  pathSerializer: (path, values) => defaultPathSerializer(path, values).replaceAll("%2F", "/"),
});

const session: Middleware = {
  onRequest({ request }) {
    if (request.headers.has("Authorization")) return;
    if (request.method !== "GET") request.headers.set("X-CSRF-Token", credentials.csrf);
    if (credentials.client) request.headers.set("X-Spot-Client", credentials.client);
  },
  async onResponse({ response }) {
    if (response.ok) return;
    if (response.status === 401 && credentials.csrf) signedOut();
    throw await problemOf(response);
  },
  onError({ error }) {
    if (error instanceof DOMException && error.name === "AbortError") return error;
    const detail = "The API did not answer. It may be restarting; what you see is the last known state.";
    return new Problem({ type: "unreachable", title: "No connection", detail }, 0);
  },
};
api.use(session);

/** The document of an answer. Whatever is no success was thrown as a Problem. */
export async function answerOf<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

/** Idempotency-Key: the same key again is the same request. */
export const keyed = (key: string) => ({ "Idempotency-Key": key });

/** `crypto.randomUUID` is missing where the page comes by plain http from another host. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    return new Problem((await answer.json()) as Schemas["ProblemDocument"], answer.status);
  } catch {
    return new Problem({ title: `The API answered ${answer.status} ${answer.statusText}` }, answer.status);
  }
}
