/** What is saved: by time, by server, as a file, and in the figures above the fleet. */
import { useQuery } from "@tanstack/react-query";
import { answerOf, api } from "./http";
import { keys } from "./keys";

export type Unit = "hour" | "day" | "month";

const AGAIN_MS = 60_000;

export function useSavings(by: Unit) {
  return useQuery({
    queryKey: [...keys.savings, by],
    queryFn: ({ signal }) => answerOf(api.GET("/api/savings", { params: { query: { by } }, signal })),
    refetchInterval: AGAIN_MS,
  });
}

export function useSavingsByServer(days: number) {
  return useQuery({
    queryKey: [...keys.savings, "servers", days],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET("/api/savings/servers", { params: { query: { from: daysAgo(days), limit: 500 } }, signal }),
      ),
    refetchInterval: AGAIN_MS,
  });
}

/** By a request and not by a link: an admin has to name the client it acts for. */
export async function downloadCsv(by: Unit | "server"): Promise<void> {
  const { data, response } = await api.GET("/api/savings.csv", {
    params: { query: { by } },
    parseAs: "blob",
  });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data as Blob);
  link.download =
    /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? `savings-${by}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The figures above the fleet. Savings accrue without an event: once a minute they are asked for. */
export function useSummary() {
  return useQuery({
    queryKey: keys.summary,
    queryFn: ({ signal }) => answerOf(api.GET("/api/summary", { signal })),
    refetchInterval: (query) => (query.state.status === "error" ? false : AGAIN_MS),
  });
}

function daysAgo(days: number): string {
  return new Date(Date.now() - days * 86_400_000).toISOString();
}
