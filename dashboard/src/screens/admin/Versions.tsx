import { useFleet } from "../../api/fleet";
import { useSession } from "../../app/SessionContext";

export function Versions() {
  const { clientId } = useSession();
  return (
    <section className="card" aria-labelledby="versions">
      <header className="card__head">
        <h2 id="versions">Versions</h2>
      </header>
      <dl className="facts card__body">
        <dt>Page</dt>
        <dd className="mono">{__PAGE_VERSION__}</dd>
        {clientId && <Agents />}
      </dl>
    </section>
  );
}

function Agents() {
  const rows = useFleet().data ?? [];
  const seen = rows.filter((row) => row.primary?.agentSeenAt).length;
  return (
    <>
      <dt>Agents</dt>
      <dd>
        {seen} of {rows.length} servers have one
      </dd>
    </>
  );
}
