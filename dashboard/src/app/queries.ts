import { QueryClient } from "@tanstack/react-query";
import { Problem } from "../api/http";

/** Events keep the cache fresh, so nothing is loaded again for its age or because a window got the focus. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: Infinity,
      gcTime: 10 * 60_000,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      retry: (failures, error) =>
        failures < 3 && error instanceof Problem && (error.status === 0 || error.status >= 500),
      retryDelay: (failures) => Math.min(4_000, 400 * 2 ** failures),
    },
    mutations: { retry: false },
  },
});
