import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { useNewToken, useRevoke, useTokens, type Token } from "../../api/settings";
import { useSession } from "../../app/SessionContext";
import { instant } from "../../model/time";
import { Badge } from "../../ui/Badge";
import { Ago } from "../../ui/Elapsed";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { ProblemNote } from "../../ui/ProblemNote";
import { Secret } from "../../ui/Secret";
import { complain, say } from "../../ui/toasts";

export function Tokens({ clientId }: { clientId: string }) {
  const tokens = useTokens(clientId);
  const making = useNewToken(clientId);
  const [label, setLabel] = useState("");
  return (
    <section className="card" aria-labelledby="tokens">
      <header className="card__head">
        <h2 id="tokens">Access tokens</h2>
      </header>
      <div className="card__body stack">
        <form
          className="inline-form"
          onSubmit={(event) => {
            event.preventDefault();
            making.mutate(label, { onSuccess: () => setLabel("") });
          }}
        >
          <div className="field">
            <label htmlFor="label">What is it for?</label>
            <input
              id="label"
              className="input"
              maxLength={100}
              placeholder="laptop of Ada, CI, agents…"
              value={label}
              onChange={(event) => setLabel(event.target.value)}
            />
          </div>
          <button type="submit" className="button button--primary" disabled={making.isPending}>
            <Plus aria-hidden /> Make a token
          </button>
        </form>
        {making.error && <ProblemNote error={making.error} doing="No token was made" />}
        {making.data && <Secret title="Your new token" secret={making.data.token} />}
      </div>
      <Loaded query={tokens} height={120} doing="Loading the tokens">
        {(list) => <List tokens={list.items} clientId={clientId} />}
      </Loaded>
    </section>
  );
}

function List({ tokens, clientId }: { tokens: Token[]; clientId: string }) {
  if (tokens.length === 0) return <Empty icon={KeyRound} title="No tokens" />;
  return (
    <div className="scroll-x">
      <table className="table">
        <thead>
          <tr>
            <th>Token</th>
            <th>For</th>
            <th>Made</th>
            <th>Last used</th>
            <th>
              <span className="visually-hidden">What can be done</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((token) => (
            <Row key={token.id} token={token} clientId={clientId} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ token, clientId }: { token: Token; clientId: string }) {
  const revoking = useRevoke(clientId);
  const { session } = useSession();
  const [sure, setSure] = useState(false);
  const revoke = () =>
    revoking.mutate(token.id, {
      onSuccess: () => say("Revoked", token.label || token.id),
      onError: (error) => complain("It was not revoked", error),
    });
  return (
    <tr>
      <td className="mono">{token.id}</td>
      <td>
        {token.label || "—"} {token.id === session.token_id && <Badge label="this session" tone="good" />}
      </td>
      <td className="nowrap">{instant(token.created_at)}</td>
      <td className="nowrap">
        <Ago at={token.last_used_at} />
      </td>
      <td className="end">
        {token.revoked_at ? (
          <Badge label="Revoked" tone="idle" />
        ) : (
          <button
            type="button"
            className="button button--danger"
            disabled={revoking.isPending}
            onClick={() => (sure ? revoke() : setSure(true))}
            onBlur={() => setSure(false)}
          >
            {sure ? "Revoke for good" : "Revoke"}
          </button>
        )}
      </td>
    </tr>
  );
}
