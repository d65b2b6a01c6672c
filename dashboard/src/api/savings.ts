import { useQuery } from "@tanstack/react-query";
import { credentials, get, Problem, queryOf } from "./http";
import { keys } from "./keys";
import type { SavingsView, ServersSavingsView } from "./types";

export type Unit = "hour" | "day" | "month";

const AGAIN_MS = 60_000;

export function useSavings(by: Unit) {
  return useQuery({
    queryKey: [...keys.savings, by],
    queryFn: ({ signal }) => get<SavingsView>("/api/savings", { by }, signal),
    refetchInterval: AGAIN_MS,
  });
}

export function useSavingsByServer(days: number) {
  return useQuery({
    queryKey: [...keys.savings, "servers", days],
    queryFn: ({ signal }) =>
      get<ServersSavingsView>("/api/savings/servers", { from: daysAgo(days), limit: 500 }, signal),
    refetchInterval: AGAIN_MS,
  });
}

/** By a request and not by a link: an admin has to name the client it acts for. */
export async function downloadCsv(by: Unit | "server"): Promise<void> {
  const headers = new Headers(credentials.client ? { "X-Spot-Client": credentials.client } : {});
  const answer = await fetch(`/api/savings.csv${queryOf({ by })}`, { headers });
  if (!answer.ok) throw new Problem({ title: "The file could not be made" }, answer.status);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download =
    /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? `savings-${by}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}
