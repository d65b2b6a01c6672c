/** All clients, and what the API says of the system around it; for admins. */
import { useQuery } from "@tanstack/react-query";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export type System = Schemas["SystemView"];

const AGAIN_MS = 10_000; // no event tells of it

export const useSystem = () =>
  useQuery({
    queryKey: keys.health,
    queryFn: ({ signal }) => answerOf(api.GET("/api/system", { signal })),
    refetchInterval: AGAIN_MS,
  });

export const useClients = () =>
  useQuery({
    queryKey: keys.clients,
    queryFn: ({ signal }) => answerOf(api.GET("/api/clients", { params: { query: { limit: 500 } }, signal })),
  });
