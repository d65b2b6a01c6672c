import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { Problem } from "../api/http";
import { stepRows } from "../model/steps";
import { instanceBadge, statusBadge } from "../model/words";
import { operation } from "../testing/make";
import { Badge } from "./Badge";
import { ProblemNote } from "./ProblemNote";
import { Steps } from "./Steps";

it.each([
  ["committed", "good"],
  ["rolled_back", "warn"],
  ["needs_attention", "bad"],
  ["running", "busy"],
  ["something_new", "idle"],
])("an operation that is %s is %s", (status, tone) => {
  render(<Badge {...statusBadge(status)} />);
  expect(screen.getByText(statusBadge(status).label).dataset.tone).toBe(tone);
});

it("names an instance's state also where it does not know it", () => {
  expect(instanceBadge("running_primary")).toEqual({ label: "Running", tone: "good" });
  expect(instanceBadge("half_gone").label).toBe("Half gone");
});

it("shows a refusal in words, with what would be lost, the call that mends it, and what to do", () => {
  const finding = {
    code: "x",
    what: "the root volume is not copied",
    mend: "aws ec2 create-image",
    blocking: true,
  };
  const problem = new Problem(
    {
      type: "urn:spot-optimizer:problem:pool-refused",
      title: "The pool cannot be used",
      detail: "no subnet",
      findings: [finding],
    },
    422,
  );
  render(<ProblemNote error={problem} doing="Nothing was changed" />);
  const text = screen.getByRole("alert").textContent ?? "";
  for (const part of [
    "Nothing was changed",
    "The pool cannot be used",
    "no subnet",
    "not copied",
    "create-image",
    "Choose another pool",
  ]) {
    expect(text).toContain(part);
  }
});

it("says each step's state to those who cannot see its colour", () => {
  const step = {
    name: "plan",
    started_at: "",
    ended_at: "",
    ms: 40,
    ok: false,
    calls: [],
    hooks: [],
    note: "no quota",
  };
  render(<Steps rows={stepRows(operation({ steps: [step] }))} />);
  const first = screen.getAllByRole("listitem")[0];
  expect(first?.textContent).toContain("failed");
  expect(first?.textContent).toContain("no quota");
  expect(screen.getAllByText("to come").length).toBeGreaterThan(3);
});
