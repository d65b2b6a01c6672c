import { createContext, useContext } from "react";
import type { Session } from "../api/session";

interface Signed {
  session: Session;
  /** The client whose fleet is shown; empty: an admin who has chosen none. */
  clientId: string;
  signOut: () => void;
  actFor: (clientId: string) => void;
}

export const SessionContext = createContext<Signed | null>(null);

export function useSession(): Signed {
  const signed = useContext(SessionContext);
  if (!signed) throw new Error("useSession outside of a session");
  return signed;
}
