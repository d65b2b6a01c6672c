import type { Problem } from "../api/http";

/** The API names `body.policy.autopilot.min_saving`; a form knows `min_saving`. */
export function fieldErrors(problem: Pick<Problem, "fields"> | null): Map<string, string> {
  return new Map(
    (problem?.fields ?? []).map((error) => [error.field.split(".").at(-1) ?? "", error.message]),
  );
}
