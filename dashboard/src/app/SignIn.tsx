import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { signIn, type Session } from "../api/session";
import { ProblemNote } from "../ui/ProblemNote";
import { Brand } from "./Brand";

export function SignIn({ onSignedIn }: { onSignedIn: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const signing = useMutation({ mutationFn: signIn, onSuccess: onSignedIn });
  return (
    <main className="door">
      <form
        className="door__card"
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() && !signing.isPending) signing.mutate(token.trim());
        }}
      >
        <Brand />
        <h1>Sign in</h1>
        <div className="field">
          <label htmlFor="token">Access token</label>
          <input
            id="token"
            className="input mono"
            type="password"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            placeholder="spt_client_…"
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
          <p className="field__hint">
            <code>make up</code> prints one; an admin makes more with <code>spot clients token</code>. It is
            sent once and not kept in this browser.
          </p>
        </div>
        {signing.error && <ProblemNote error={signing.error} />}
        <button
          className="button button--primary"
          type="submit"
          disabled={!token.trim() || signing.isPending}
        >
          {signing.isPending ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
