import { expect, it } from "vitest";
import { NOW, row, seat } from "../testing/make";
import { inView, matches, valueOf } from "../screens/fleet/filter";
import { rowState } from "./fleet";

const running = { operationId: "op-1", kind: "failover", status: "running", since: NOW, step: "launch" };

it("says first what needs a person, then what moves, then what is", () => {
  expect(rowState(row({ attention: "denied", running })).label).toBe("Needs attention");
  expect(rowState(row({ running, deadline: NOW }))).toMatchObject({
    label: "Failing over",
    since: NOW,
    detail: "launch",
  });
  expect(rowState(row({ running: { ...running, status: "queued" } })).label).toBe("Queued");
  expect(rowState(row({ deadline: NOW })).tone).toBe("warn");
  expect(rowState(row({ passing: { instanceId: "i-1", state: "terminating", since: NOW } })).label).toBe(
    "Terminating",
  );
  expect(rowState(row({ primary: null }))).toMatchObject({ label: "No primary", tone: "bad" });
  expect(rowState(row())).toMatchObject({ label: "Running", tone: "good" });
});

it("finds a server by any words of its row", () => {
  const spot = row({ primary: seat({ pool: "us-east-1b/r5.large/spot", instanceId: "i-42" }) });
  expect(matches(spot, "orders r5")).toBe(true);
  expect(matches(spot, "I-42 running")).toBe(true);
  expect(matches(spot, "orders m5")).toBe(false);
  expect(matches(spot, "  ")).toBe(true);
});

it("shows the rows that a view is for", () => {
  expect(inView(row({ decisionId: "dec-1" }), "attention")).toBe(true);
  expect(inView(row(), "attention")).toBe(false);
  expect(inView(row({ running }), "moving")).toBe(true);
  expect(inView(row(), "on-demand")).toBe(true);
  expect(inView(row(), "spot")).toBe(false);
});

it("sorts by state with trouble first", () => {
  const states = [row({ name: "a" }), row({ name: "b", running }), row({ name: "c", attention: "x" })];
  const sorted = states.toSorted((one, other) => (valueOf(one, "state") < valueOf(other, "state") ? -1 : 1));
  expect(sorted.map((one) => one.name)).toEqual(["c", "b", "a"]);
});
