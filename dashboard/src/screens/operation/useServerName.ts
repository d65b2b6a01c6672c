import { useFleet } from "../../api/fleet";
import { useServer } from "../../api/servers";

/** Its name as the fleet knows it, or as the server itself says when it has ended. */
export function useServerName(id: string): string {
  const row = useFleet().data?.find((one) => one.id === id);
  const server = useServer(row ? "" : id);
  return row?.name ?? server.data?.name ?? "…";
}
