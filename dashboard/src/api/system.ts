/** What the API says of the system around it. */
import { useQuery } from "@tanstack/react-query";
import { Problem } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export function useHealth() {
  return useQuery({
    queryKey: keys.health,
    queryFn: ({ signal }) => health(signal),
    refetchInterval: 10_000, // no event tells of it
  });
}

/** 503 says which part is away: that is an answer, not an error. */
async function health(signal: AbortSignal): Promise<Schemas["ReadyView"]> {
  const answer = await fetch("/health/ready", { signal });
  if (answer.ok || answer.status === 503) return (await answer.json()) as Schemas["ReadyView"];
  throw new Problem({ title: "The API does not say how it is" }, answer.status);
}
