import { Link } from "react-router";
import { rowState, type FleetRow } from "../../model/fleet";
import { againstOnDemand, below, price } from "../../model/money";
import { kindName, statusBadge } from "../../model/words";
import { Badge } from "../../ui/Badge";
import { Risk } from "../../ui/Risk";
import { Ago, Elapsed, Until } from "../../ui/Elapsed";

export function State({ row }: { row: FleetRow }) {
  const state = rowState(row);
  return (
    <div className="cell">
      <Badge label={state.label} tone={state.tone} />
      <small className="muted truncate">
        {state.since && <Elapsed since={state.since} />}
        {state.detail && <> {state.detail}</>}
        {row.running && row.passing && (
          <>
            {" "}
            · {row.passing.state} <Elapsed since={row.passing.since} />
          </>
        )}
        {!state.since && !state.detail && row.replica && <>with replica</>}
        {row.deadline && (
          <span className="tone-warn">
            {" "}
            ends in <Until at={row.deadline} />
          </span>
        )}
        {!row.deadline && row.decisionId && <span className="tone-warn"> decision waits</span>}
      </small>
    </div>
  );
}

export function Agent({ row }: { row: FleetRow }) {
  if (!row.primary?.agentSeenAt) return <span className="agent">never seen</span>;
  return (
    <span className="agent" data-online={row.primary.agentOnline}>
      {row.primary.agentOnline ? "online" : <Ago at={row.primary.agentSeenAt} />}
    </span>
  );
}

export function Price({ row }: { row: FleetRow }) {
  const now = row.primary?.usdPerHour;
  const part = below(now, row.onDemandUsdPerHour);
  return (
    <div className="cell">
      <span>
        <b>{price(now)}</b>{" "}
        {row.onDemandUsdPerHour !== null && <span className="muted">of {price(row.onDemandUsdPerHour)}</span>}
      </span>
      <small className={part !== null && part > 0.005 ? "tone-good" : "muted"}>{againstOnDemand(part)}</small>
    </div>
  );
}

export function RiskMeter({ row }: { row: FleetRow }) {
  if (!row.risk) return <span className="muted">—</span>;
  return (
    <div className="cell" title={row.risk.reason}>
      <Risk level={row.risk.level} />
      <small className="muted truncate">{row.risk.reason}</small>
    </div>
  );
}

export function LastOperation({ row }: { row: FleetRow }) {
  const { last } = row;
  if (!last) return <span className="muted">—</span>;
  const badge = statusBadge(last.outcome);
  return (
    <div className="cell">
      <span className="truncate">
        <Link to={`/operations/${last.operationId}`} className="above">
          {kindName(last.kind)}
        </Link>{" "}
        <small className="muted">
          <Ago at={last.at} />
        </small>
      </span>
      <small className={`truncate tone-${badge.tone}`}>{badge.label.toLowerCase()}</small>
    </div>
  );
}
