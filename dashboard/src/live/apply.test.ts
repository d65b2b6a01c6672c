import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys } from "../api/keys";
import { loadOperation } from "../api/operations";
import type { FleetRow } from "../model/fleet";
import { event, NOW, operation, row } from "../testing/make";
import { applyEvents, forgetEvents } from "./apply";
import { tape } from "./tape";

const QUIET = new AbortController().signal;
const settle = (ms = 200) => vi.advanceTimersByTimeAsync(ms);

let asked: string[];
let answer: (path: string) => Promise<Response>;
let queries: QueryClient;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answer = () => Promise.resolve(Response.json({ items: [], next_cursor: "", as_of: 0 }));
  vi.stubGlobal("fetch", ({ url, signal }: Request) => {
    const path = url.slice(location.origin.length);
    asked.push(path);
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      answer(path).then(resolve, reject);
    });
  });
  queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
});

afterEach(() => {
  forgetEvents();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("rows that an event left open", () => {
  it("are loaded again until they could be, at growing intervals", async () => {
    answer = () => Promise.reject(new TypeError("no connection"));
    queries.setQueryData(keys.fleet, [row()]);
    applyEvents(queries, [event("agent.silent", {}, { instance_id: "i-1" })]);
    await settle();
    expect(asked).toHaveLength(1);
    await settle(1_000);
    expect(asked).toHaveLength(2);
    await settle(1_000);
    expect(asked).toHaveLength(2);
    await settle(1_000);
    expect(asked).toHaveLength(3);
    answer = () => Promise.resolve(Response.json({ items: [], next_cursor: "", as_of: 0 }));
    await settle(4_000);
    expect(asked).toEqual(Array(4).fill("/api/fleet?server_id=srv-1"));
    expect(queries.getQueryData(keys.fleet)).toEqual([]);
    await settle(120_000);
    expect(asked).toHaveLength(4);
  });
});

describe("another client's turn", () => {
  it("leaves nothing of the former: neither its events, nor what was still to be loaded", async () => {
    applyEvents(queries, [event("agent.silent")]);
    forgetEvents();
    expect(tape.after(0)).toEqual([]);
    await settle(5_000);
    expect(asked).toEqual([]);
  });

  it("is not shown rows of the former that were on their way", async () => {
    let arrive: (response: Response) => void = () => undefined;
    answer = () => new Promise((resolve) => (arrive = resolve));
    queries.setQueryData(keys.fleet, [row()]);
    applyEvents(queries, [event("agent.silent")]);
    await settle();
    expect(asked).toHaveLength(1);
    forgetEvents();
    queries.clear();
    const theirs = [row({ id: "srv-2" })];
    queries.setQueryData<FleetRow[]>(keys.fleet, theirs);
    const given = { id: "srv-1", created_at: NOW, state: "running_primary" };
    arrive(Response.json({ items: [given], next_cursor: "", as_of: 0 }));
    await settle(60_000);
    expect(asked).toHaveLength(1);
    expect(queries.getQueryData(keys.fleet)).toBe(theirs);
  });
});

describe("a first answer that is on its way when an event comes", () => {
  it("is brought up to date by the operation's events", async () => {
    answer = async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return Response.json(operation({ status: "queued", started_at: null }));
    };
    const loading = loadOperation("op-1", QUIET);
    tape.add([
      event("operation.running", { kind: "switch" }),
      event("operation.step", { step: "plan", position: 1, state: "started" }),
      event("operation.step", { step: "plan", position: 1, state: "started" }, { operation_id: "op-2" }),
    ]);
    await settle(500);
    expect(await loading).toMatchObject({ status: "running", steps: [{ name: "plan", ok: null }] });
  });

  it("is asked for again once it is there", async () => {
    let version = 0;
    const load = async () => {
      version += 1;
      const mine = version;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return mine;
    };
    const stop = new QueryObserver(queries, { queryKey: keys.server("srv-1"), queryFn: load }).subscribe(
      () => undefined,
    );
    applyEvents(queries, [event("server.policy")]);
    await settle(2_500);
    expect(queries.getQueryData(keys.server("srv-1"))).toBe(2);
    stop();
  });
});
