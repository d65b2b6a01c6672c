import { memo, type CSSProperties } from "react";
import { Link } from "react-router";
import type { FleetRow } from "../../model/fleet";
import { partsOf } from "../../model/pools";
import { PoolName } from "../../ui/PoolName";
import { Agent, LastOperation, Price, RiskMeter, State } from "./parts";

interface Props {
  row: FleetRow;
  index: number;
  style: CSSProperties;
}

function Line({ row, index, style }: Props) {
  return (
    <div className="fleet__row" role="row" aria-rowindex={index} style={style} data-server={row.id}>
      <div role="cell">
        <div className="cell">
          <Link to={`/servers/${row.id}`} className="fleet__name truncate">
            {row.name}
          </Link>
          <small className="muted truncate">
            {row.region} · {row.handoff}
          </small>
        </div>
      </div>
      <div role="cell">
        <div className="cell">
          <PoolName pool={row.primary?.pool} short />
          <small className="muted truncate">
            {partsOf(row.primary?.pool)?.zone} <span className="mono">{row.primary?.instanceId}</span>
          </small>
        </div>
      </div>
      <div role="cell">
        <State row={row} />
      </div>
      <div role="cell">
        <Agent row={row} />
      </div>
      <div role="cell">
        <Price row={row} />
      </div>
      <div role="cell">
        <RiskMeter row={row} />
      </div>
      <div role="cell">
        <LastOperation row={row} />
      </div>
    </div>
  );
}

export const FleetLine = memo(Line, sameRow);

/** Its place is an object made anew at each scroll; what it says is what counts. */
export function sameRow(one: Props, other: Props): boolean {
  return (
    one.row === other.row &&
    one.index === other.index &&
    one.style.transform === other.style.transform &&
    one.style.height === other.style.height
  );
}
