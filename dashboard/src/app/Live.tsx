import { useEffect, useSyncExternalStore, type ReactNode } from "react";
import type { Session } from "../api/session";
import { applyEvents, refreshAll } from "../live/apply";
import { connection } from "../live/connection";
import { queries } from "./queries";

interface Props {
  session: Session;
  clientId: string;
  children: ReactNode;
}

/** Screens are drawn once the stream's number is known: what they load afterwards lacks nothing before it. */
export function Live({ session, clientId, children }: Props) {
  const state = useSyncExternalStore(connection.subscribe, connection.snapshot);
  useEffect(() => {
    if (!clientId) return;
    const acting = session.kind === "admin";
    return connection.open(
      { client: clientId, session: session.token_id, acting },
      {
        events: (events) => applyEvents(queries, events),
        reset: () => refreshAll(queries),
        signedOut: () => location.assign("/"),
      },
    );
  }, [session.kind, session.token_id, clientId]);
  const ready = !clientId || state.seq >= 0 || state.connection === "lost";
  return ready ? children : null;
}
