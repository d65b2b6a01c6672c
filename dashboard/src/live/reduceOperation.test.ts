import { describe, expect, it } from "vitest";
import { event, operation } from "../testing/make";
import { stepRows } from "../model/steps";
import { reduceOperation } from "./reduceOperation";

const begun = (step: string, position: number) =>
  event("operation.step", { step, position, state: "started" });
const done = (step: string, position: number, ms = 120) =>
  event("operation.step", { step, position, state: "ended", ms, ok: true, calls: ["RunInstances"] });

describe("an operation after events", () => {
  it("ticks its steps off, and shows what is still to come", () => {
    const now = [begun("plan", 1), done("plan", 1), begun("launch", 2)].reduce(reduceOperation, operation());
    expect(stepRows(now).map((step) => [step.name, step.state])).toEqual([
      ["plan", "done"],
      ["launch", "running"],
      ["ready", "ahead"],
      ["fence", "ahead"],
      ["move", "ahead"],
      ["serve", "ahead"],
      ["commit", "ahead"],
      ["retire", "ahead"],
    ]);
    expect(stepRows(now)[0]).toMatchObject({ ms: 120, calls: ["RunInstances"] });
  });

  it("does not show a step twice that it was told of twice", () => {
    const events = [begun("plan", 1), done("plan", 1), begun("plan", 1), done("plan", 1)];
    expect(events.reduce(reduceOperation, operation()).steps).toHaveLength(1);
  });

  it("takes a step's end without its beginning", () => {
    expect(reduceOperation(operation(), done("plan", 1)).steps).toMatchObject([
      { name: "plan", ok: true, ms: 120 },
    ]);
  });

  it("keeps each step in its place when one was missed, and takes that one when it comes after all", () => {
    const gapped = [begun("plan", 1), begun("ready", 3), done("ready", 3, 7), done("plan", 1)].reduce(
      reduceOperation,
      operation(),
    );
    expect((gapped.steps ?? []).map((step) => [step.name, step.ok])).toEqual([
      ["plan", true],
      ["ready", true],
    ]);
    const whole = reduceOperation(gapped, done("launch", 2));
    expect((whole.steps ?? []).map((step) => step.name)).toEqual(["plan", "launch", "ready"]);
  });

  it("marks the steps in which the service is out", () => {
    const rows = stepRows(operation());
    expect(rows.filter((step) => step.outage).map((step) => step.name)).toEqual(["fence", "move", "serve"]);
    expect(stepRows(operation({ handoff: "stateless" })).some((step) => step.outage)).toBe(false);
  });

  it("ends, and is not begun again by an event that is older", () => {
    const ended = reduceOperation(
      operation(),
      event("operation.committed", { outcome: "committed", to_pool: "a/b/spot" }),
    );
    expect(ended).toMatchObject({ status: "committed", to_pool: "a/b/spot" });
    expect(reduceOperation(ended, event("operation.running", { kind: "switch" }))).toBe(ended);
    expect(stepRows(ended)).toEqual([]);
  });

  it("is not touched by another's events", () => {
    const mine = operation();
    expect(reduceOperation(mine, event("operation.step", { step: "plan" }, { operation_id: "op-2" }))).toBe(
      mine,
    );
  });
});
