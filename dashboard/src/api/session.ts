/** Signing in: a token once; after that the browser has a cookie that no script can read. */
import { answerOf, api, credentials } from "./http";
import type { Schemas } from "./types";

export type Session = Schemas["SessionView"];

const ACTING = "spot-acting-for"; // the client that an admin looks at: an ID, no secret

export async function currentSession(): Promise<Session> {
  return remember(await answerOf(api.GET("/api/session")));
}

export async function signIn(token: string): Promise<Session> {
  return remember(
    await answerOf(api.POST("/api/session", { headers: { Authorization: `Bearer ${token}` } })),
  );
}

export async function signOut(): Promise<void> {
  await api.DELETE("/api/session");
  forget();
}

export function forget(): void {
  credentials.csrf = "";
  credentials.client = "";
  sessionStorage.removeItem(ACTING);
}

/** An admin looks at the page as this client sees it. */
export function actFor(clientId: string): void {
  sessionStorage.setItem(ACTING, clientId);
  credentials.client = clientId;
}

function remember(session: Session): Session {
  credentials.csrf = session.csrf_token;
  credentials.client = session.kind === "admin" ? (sessionStorage.getItem(ACTING) ?? "") : "";
  return session;
}
