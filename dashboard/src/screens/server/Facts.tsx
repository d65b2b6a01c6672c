import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import { instant } from "../../model/time";
import { sentence } from "../../model/words";
import { PoolName } from "../../ui/PoolName";

export function Facts({ server, row }: { server: Server; row: FleetRow | undefined }) {
  const { primary } = server;
  return (
    <section className="card" aria-labelledby="facts">
      <header className="card__head">
        <h2 id="facts">Handoff and addresses</h2>
      </header>
      <dl className="facts card__body">
        <dt>Handoff</dt>
        <dd>{sentence(server.handoff)}</dd>
        <dt>Moves along</dt>
        <dd>{server.moves.length ? <Moves moves={server.moves} /> : "nothing"}</dd>
        <dt>Instance</dt>
        <dd className="mono">{row?.primary?.instanceId ?? primary?.id ?? "—"}</dd>
        <dt>Private address</dt>
        <dd className="mono">{primary?.private_ip || "—"}</dd>
        {primary?.spot_request_id && (
          <>
            <dt>Spot request</dt>
            <dd className="mono">{primary.spot_request_id}</dd>
          </>
        )}
        {row?.replica && (
          <>
            <dt>Replica</dt>
            <dd>
              <PoolName pool={row.replica.pool} />
            </dd>
          </>
        )}
        <dt>Account</dt>
        <dd>{server.account_id || "—"}</dd>
        <dt>Adopted</dt>
        <dd>{instant(server.created_at)}</dd>
        <dt>Server ID</dt>
        <dd className="mono">{server.id}</dd>
      </dl>
    </section>
  );
}

function Moves({ moves }: { moves: string[] }) {
  return (
    <ul>
      {moves.map((move) => (
        <li key={move}>{move}</li>
      ))}
    </ul>
  );
}
