import { expect, it } from "vitest";
import { fieldErrors } from "./fieldErrors";
import { byFamilyAndSize } from "./heat";
import { changesOf, HANDOFF, NotANumber, toValues } from "./policyForm";
import { partsOf, problemWithPool } from "./pools";
import { often, levelOf } from "./risk";
import { align } from "./series";
import { ago, duration, elapsed } from "./time";
import { lanes, place, ticks } from "./timeline";

it("knows a pool's name, and says what is wrong with another", () => {
  expect(partsOf("us-east-1a/m5.large/spot")).toEqual({
    zone: "us-east-1a",
    type: "m5.large",
    lifecycle: "spot",
  });
  expect(partsOf("us-east-1a/m5.large")).toBeNull();
  expect(problemWithPool("us-east-1a/m5.large/free")).toContain("zone/type/lifecycle");
  expect(problemWithPool(" us-east-1a/m5.large/on-demand ")).toBeNull();
});

it.each([
  [840, "840 ms"],
  [4_230, "4.2 s"],
  [59_990, "1 min 00 s"],
  [65_000, "1 min 05 s"],
  [11_520_000, "3 h 12 min"],
])("says %d ms as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it("counts whole seconds where it ticks", () => {
  expect(elapsed(59_900)).toBe("59 s");
  expect(elapsed(-5)).toBe("0 s");
  expect(ago("2026-01-01T12:00:00Z", Date.parse("2026-01-01T12:03:00Z"))).toBe("3 min ago");
  expect(ago(null, 0)).toBe("never");
});

it("sends of a policy only what was changed, as the API takes it", () => {
  const before = toValues(HANDOFF, { handoff: "volumes", instance_types: ["m5.large"], drain_s: 30 });
  const after = {
    ...before,
    instance_types: "m5.large r5.large",
    max_spot_usd_per_hour: " 0.2 ",
    drain_s: "30",
  };
  expect(changesOf(HANDOFF, before, after)).toEqual({
    instance_types: ["m5.large", "r5.large"],
    max_spot_usd_per_hour: 0.2,
  });
  expect(changesOf(HANDOFF, after, { ...after, max_spot_usd_per_hour: "" })).toEqual({
    max_spot_usd_per_hour: null,
  });
  expect(() => changesOf(HANDOFF, before, { ...before, drain_s: "soon" })).toThrow(NotANumber);
});

it("brings the API's errors to the fields that they are about", () => {
  const fields = [{ field: "body.policy.autopilot.min_saving", message: "too much" }];
  expect(fieldErrors({ fields }).get("min_saving")).toBe("too much");
});

it("sorts types as one buys them", () => {
  const types = ["m5.2xlarge", "c5.large", "m5.xlarge", "m5.large", "m5.metal"];
  expect(types.toSorted(byFamilyAndSize)).toEqual([
    "c5.large",
    "m5.large",
    "m5.xlarge",
    "m5.2xlarge",
    "m5.metal",
  ]);
});

it("puts step series on one axis", () => {
  const aligned = align(
    [
      [{ at: 1, usd: 3 }],
      [
        { at: 2, usd: 5 },
        { at: 4, usd: 6 },
      ],
    ],
    9,
  );
  expect(aligned).toEqual({
    times: [1, 2, 4, 9],
    values: [
      [3, 3, 3, 3],
      [null, 5, 6, 6],
    ],
  });
});

it("places a life on its span", () => {
  const span = { from: 0, to: 100 };
  expect([place(span, -5), place(span, 25), place(span, 500)]).toEqual([0, 0.25, 1]);
  const stay = (instanceId: string, from: number, to: number | null) => ({
    instanceId,
    role: "primary" as const,
    pool: "",
    from,
    to,
  });
  const shown = lanes([stay("old", -50, -10), stay("a", -5, 20), stay("b", 20, null)], span);
  expect(shown.map((lane) => lane[0]?.instanceId)).toEqual(["b", "a"]);
  expect(ticks({ from: 0, to: 3_600_000 }, 7).length).toBeLessThanOrEqual(7);
});

it("says how likely a loss is", () => {
  expect([levelOf(0.1), levelOf(1), levelOf(9), levelOf(null)]).toEqual(["low", "medium", "high", "unknown"]);
  expect([often(2.44), often(0.2), often(0), often(undefined)]).toEqual([
    "2.4 a month",
    "one in 5 months",
    "next to none",
    "not known",
  ]);
});
