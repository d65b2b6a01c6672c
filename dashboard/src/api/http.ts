/** Requests to the API of this origin, with the session's cookie, and its errors as they are meant for people. */
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

export interface Options {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  /** Idempotency-Key: the same key again is the same request. */
  key?: string;
  token?: string;
  signal?: AbortSignal;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const answer = await send(method, path, options);
  if (!answer.ok) {
    const problem = await problemOf(answer);
    if (problem.status === 401 && credentials.csrf) signedOut();
    throw problem;
  }
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const get = <T>(path: string, query?: Options["query"], signal?: AbortSignal): Promise<T> =>
  request<T>("GET", path, { ...(query && { query }), ...(signal && { signal }) });

async function send(method: string, path: string, options: Options): Promise<Response> {
  const init: RequestInit = { method, headers: headersOf(method, options), credentials: "same-origin" };
  if (options.body !== undefined) init.body = JSON.stringify(options.body);
  if (options.signal) init.signal = options.signal;
  try {
    return await fetch(path + queryOf(options.query), init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    const detail = "The API did not answer. It may be restarting; what you see is the last known state.";
    throw new Problem({ type: "unreachable", title: "No connection", detail }, 0);
  }
}

function headersOf(method: string, options: Options): Headers {
  const headers = new Headers({ Accept: "application/json" });
  if (options.body !== undefined) headers.set("Content-Type", "application/json");
  if (options.token) headers.set("Authorization", `Bearer ${options.token}`);
  else if (method !== "GET") headers.set("X-CSRF-Token", credentials.csrf);
  if (credentials.client && !options.token) headers.set("X-Spot-Client", credentials.client);
  if (options.key) headers.set("Idempotency-Key", options.key);
  return headers;
}

export function queryOf(query: Options["query"]): string {
  const given = Object.entries(query ?? {}).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  return given.length
    ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`
    : "";
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    return new Problem((await answer.json()) as Schemas["ProblemDocument"], answer.status);
  } catch {
    return new Problem({ title: `The API answered ${answer.status} ${answer.statusText}` }, answer.status);
  }
}
