import { memo, type CSSProperties } from "react";
import { Link } from "react-router";
import type { FleetRow } from "../../model/fleet";
import { PoolName } from "../../ui/PoolName";
import { sameRow } from "./FleetLine";
import { Agent, Price, RiskMeter, State } from "./parts";

function Card({ row, index, style }: { row: FleetRow; index: number; style: CSSProperties }) {
  return (
    <div className="fleet-card" role="row" aria-rowindex={index} style={style} data-server={row.id}>
      <div className="fleet-card__in">
        <div role="cell" className="fleet-card__name">
          <Link to={`/servers/${row.id}`} className="fleet__name truncate">
            {row.name}
          </Link>
          <Agent row={row} />
        </div>
        <div role="cell" className="fleet-card__state">
          <State row={row} />
        </div>
        <div role="cell" className="fleet-card__pool">
          <PoolName pool={row.primary?.pool} />
          {row.risk && <RiskMeter row={row} />}
        </div>
        <div role="cell" className="fleet-card__price">
          <Price row={row} />
        </div>
      </div>
    </div>
  );
}

export const FleetCard = memo(Card, sameRow);
