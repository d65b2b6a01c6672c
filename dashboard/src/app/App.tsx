import { QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { RouterProvider } from "react-router";
import { credentials, onSignedOut, Problem } from "../api/http";
import { actFor, currentSession, forget, signOut, type Session } from "../api/session";
import { forgetEvents } from "../live/apply";
import { connection } from "../live/connection";
import { ProblemNote } from "../ui/ProblemNote";
import { Toasts } from "../ui/Toasts";
import { complain } from "../ui/toasts";
import { Live } from "./Live";
import { queries } from "./queries";
import { router } from "./router";
import { SessionContext } from "./SessionContext";
import { SignIn } from "./SignIn";

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <Door />
      <Toasts />
    </QueryClientProvider>
  );
}

/** Nothing of the fleet is asked for before the API has said who this is. */
function Door() {
  const [given, setGiven] = useState<Session | null>(null);
  const asked = useQuery({
    queryKey: ["session"],
    queryFn: currentSession,
    retry: retrySession,
    staleTime: Infinity,
  });
  useEffect(() => {
    onSignedOut(leave);
  }, []);
  const session = given ?? asked.data;
  if (session) return <Inside session={session} />;
  if (asked.isPending) return null;
  if (asked.error instanceof Problem && asked.error.status === 401) return <SignIn onSignedIn={setGiven} />;
  return (
    <main className="door">
      <ProblemNote error={asked.error} doing="Signing in" />
    </main>
  );
}

function retrySession(_: number, error: Error): boolean {
  return error instanceof Problem && (error.status === 0 || error.status >= 500);
}

/** From the top: nothing of one session is left for the next. */
function leave(): void {
  forget();
  location.assign("/");
}

function Inside({ session }: { session: Session }) {
  const [acting, setActing] = useState(credentials.client);
  const signed = useMemo(() => {
    const choose = (clientId: string) => {
      actFor(clientId);
      connection.close();
      forgetEvents();
      queries.clear();
      setActing(clientId);
    };
    return { session, clientId: session.client_id || acting, signOut: () => void end(), actFor: choose };
  }, [session, acting]);
  return (
    <SessionContext value={signed}>
      <Live key={signed.clientId} session={session} clientId={signed.clientId}>
        <RouterProvider router={router} />
      </Live>
    </SessionContext>
  );
}

async function end(): Promise<void> {
  try {
    await signOut();
  } catch (error) {
    return complain("You are still signed in", error);
  }
  connection.signOut();
  leave();
}
