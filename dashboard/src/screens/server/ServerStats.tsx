import type { FleetRow } from "../../model/fleet";
import { againstOnDemand, below, hourly } from "../../model/money";
import { partsOf } from "../../model/pools";
import { Stat } from "../../ui/Stat";
import { Risk } from "../../ui/Risk";
import { Agent } from "../fleet/parts";

export function ServerStats({ row }: { row: FleetRow }) {
  const parts = partsOf(row.primary?.pool);
  const part = below(row.primary?.usdPerHour, row.onDemandUsdPerHour);
  return (
    <dl className="stats" aria-label="How it runs">
      <Stat
        name="Pool"
        value={parts?.type ?? null}
        more={parts ? `${parts.lifecycle} in ${parts.zone}` : undefined}
      />
      <Stat
        name="Price now"
        value={row.primary ? hourly(row.primary.usdPerHour) : null}
        tone={part && part > 0.005 ? "good" : undefined}
        more={againstOnDemand(part) || "on-demand price not known"}
      />
      <Stat
        name="Interruption risk"
        value={row.risk ? <Risk level={row.risk.level} /> : null}
        more={row.risk?.reason ?? "not known yet"}
      />
      <Stat name="Agent" value={<Agent row={row} />} more={row.primary?.instanceId} />
      <Stat
        name="Replica"
        value={row.replica ? (partsOf(row.replica.pool)?.type ?? "yes") : "none"}
        more={row.replica ? partsOf(row.replica.pool)?.zone : "a rescue launches one"}
      />
    </dl>
  );
}
