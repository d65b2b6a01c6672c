/** What the API says of the system around it; for admins. */
import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export type System = Schemas["SystemView"];

const AGAIN_MS = 10_000; // no event tells of it

export function useSystem() {
  return useQuery({
    queryKey: keys.health,
    queryFn: ({ signal }) => get<System>("/api/system", {}, signal),
    refetchInterval: AGAIN_MS,
  });
}
