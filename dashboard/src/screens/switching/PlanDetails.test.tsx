import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import type { Move, Plan } from "../../api/types";
import { PlanDetails } from "./PlanDetails";

const MOVE: Move = {
  usd: 0.12,
  overlap_usd: 0.05,
  snapshot_usd: 0.06,
  outage_usd: 0.01,
  gain_usd_per_h: 0.06,
  with_risk: true,
  payback_h: 2,
};

const plan = (move: Move | null): Plan => ({
  executable: true,
  handoff: "snapshot",
  from_pool: "us-east-1a/m5.large/on-demand",
  candidates: [],
  steps: [],
  moves: [],
  findings: [],
  expected_outage_s: 74.5,
  hourly_now: 0.1,
  hourly_then: 0.04,
  reason: "",
  move,
});

it("tells what the move costs by part, and when it is paid back", () => {
  render(<PlanDetails plan={plan(MOVE)} />);
  expect(screen.getByText("overlap $0.0500, snapshots $0.0600, outage $0.0100")).toBeTruthy();
  expect(screen.getByText("after 2 h 00 min")).toBeTruthy();
  expect(screen.getByText("risk included")).toBeTruthy();
});

it.each([
  ["never", { ...MOVE, gain_usd_per_h: -0.01, payback_h: null }],
  ["price not known", { ...MOVE, gain_usd_per_h: null, payback_h: null }],
])("says %s where there is nothing to pay it back", (words, move) => {
  render(<PlanDetails plan={plan(move)} />);
  expect(screen.getByText(words)).toBeTruthy();
});

it("says nothing of it where there is no pool to move to", () => {
  render(<PlanDetails plan={plan(null)} />);
  expect(screen.queryByText("Move costs")).toBeNull();
});
