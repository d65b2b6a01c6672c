import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { FleetRow } from "../model/fleet";
import { NOW } from "../testing/make";
import { everyRow } from "./fleet";

const QUIET = new AbortController().signal;
const server = (id: string) => ({ id, created_at: NOW, state: "running_primary" });

let answers: Record<string, () => void>;
let pages: Record<string, unknown>;

beforeEach(() => {
  answers = {};
  vi.stubGlobal("fetch", ({ url }: Request) => {
    const path = url.slice(location.origin.length);
    return new Promise((resolve) => (answers[path] = () => resolve(Response.json(pages[path]))));
  });
});
afterEach(() => void vi.unstubAllGlobals());

/** Let the API answer, once it was asked. */
async function answer(path: string): Promise<void> {
  await vi.waitFor(() => expect(answers[path]).toBeDefined());
  answers[path]?.();
}

const idsOf = (rows: FleetRow[]) => rows.map((row) => row.id);

it("shows a large fleet's first page before the second is there", async () => {
  pages = {
    "/api/fleet": { items: [server("srv-1")], next_cursor: "two", as_of: 0 },
    "/api/fleet?cursor=two": { items: [server("srv-2")], next_cursor: null, as_of: 0 },
  };
  const shown: FleetRow[][] = [];
  const loading = everyRow(QUIET, (rows) => void shown.push(rows));
  await answer("/api/fleet");
  await vi.waitFor(() => expect(answers["/api/fleet?cursor=two"]).toBeDefined());
  expect(shown.map(idsOf)).toEqual([["srv-1"]]);
  await answer("/api/fleet?cursor=two");
  expect(idsOf(await loading)).toEqual(["srv-1", "srv-2"]);
  expect(shown.map(idsOf)).toEqual([["srv-1"]]);
});

it("has nothing to show before a fleet of one page", async () => {
  pages = { "/api/fleet": { items: [server("srv-1")], next_cursor: null, as_of: 0 } };
  const onFirst = vi.fn();
  const loading = everyRow(QUIET, onFirst);
  await answer("/api/fleet");
  expect(idsOf(await loading)).toEqual(["srv-1"]);
  expect(onFirst).not.toHaveBeenCalled();
});
