import { expect, it } from "vitest";
import { againstBefore, againstOnDemand, below, cents, hourly, percent, usd } from "./money";

it("shows prices per hour with the digits that spot prices have", () => {
  expect(hourly(0.04213)).toBe("$0.0421/h");
  expect(hourly(null)).toBe("—");
});

it.each([
  [0, "$0.00"],
  [0.004, "$0.0040"],
  [12.345, "$12.35"],
  [1234.5, "$1,234.50"],
  [54321.9, "$54,322"],
  [-3.2, "−$3.20"],
])("shows the sum %d as %s", (amount, text) => {
  expect(usd(amount)).toBe(text);
});

it.each([
  [0, "$0.00"],
  [0.0761, "$0.08"],
  [0.0009, "<$0.01"],
  [-0.0009, "$0.00"],
  [-12.345, "−$12.35"],
  [54321.9, "$54,321.90"],
])("shows %d in a column as %s", (amount, text) => {
  expect(cents(amount)).toBe(text);
});

it("compares with on-demand in words", () => {
  expect(againstOnDemand(below(0.03, 0.1))).toBe("70% below on-demand");
  expect(againstOnDemand(below(0.11, 0.1))).toBe("10% above on-demand");
  expect(againstOnDemand(below(0.1, 0.1))).toBe("at on-demand");
  expect(againstOnDemand(below(0.1, null))).toBe("");
  expect(below(0.1, 0)).toBeNull();
  expect(percent(null)).toBe("—");
});

it("says what a move saves, or costs", () => {
  expect(againstBefore(0.1, 0.04)).toBe("saves $0.0600/h");
  expect(againstBefore(0.04, 0.1)).toBe("costs $0.0600/h more");
  expect(againstBefore(0.1, 0.1)).toBe("");
});
