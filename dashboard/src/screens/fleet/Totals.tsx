import { Link } from "react-router";
import { useSummary } from "../../api/summary";
import { agentOnline, rowState, type FleetRow } from "../../model/fleet";
import { percent, usd } from "../../model/money";
import { elapsed } from "../../model/time";
import { useNow } from "../../ui/now";
import { Stat } from "../../ui/Stat";

/** Both questions on the first screen: what needs me, and what do we save. */
export function Totals({ rows }: { rows: FleetRow[] | undefined }) {
  const now = useNow();
  const { data } = useSummary();
  const servers = rows?.length ?? data?.servers;
  const online = rows?.filter((row) => agentOnline(row, now)).length ?? data?.agentsOnline;
  const moving = rows?.filter((row) => rowState(row).tone === "busy").length ?? data?.inProgress;
  const attention = Math.max(rows?.filter((row) => rowState(row).tone === "bad").length ?? 0, data?.needsAttention ?? 0);
  const waiting = data?.decisionsWaiting ?? 0;
  const calm = attention + waiting === 0;
  return (
    <dl className="stats" aria-label="The fleet in figures">
      <Stat
        name="Needs attention"
        value={rows && attention + waiting}
        tone={calm ? "good" : "bad"}
        more={calm ? "all is well" : <Link to="/?view=attention">{waiting ? `${waiting} decisions wait` : "show them"}</Link>}
      />
      <Stat name="In progress" value={moving} tone={moving ? "busy" : undefined} more={moving ? <Link to="/?view=moving">show them</Link> : "nothing moves"} />
      <Stat name="Servers" value={servers} more={online === undefined ? undefined : `${online} agents online`} />
      <Stat name="Saved this hour" value={data && usd(data.savedHour)} more="against on-demand" />
      <Stat name="Saved today" value={data && usd(data.savedDay)} more={<Link to="/savings">by server</Link>} />
      <Stat name="Saved this month" value={data && usd(data.savedMonth)} more="replicas deducted" />
      <Stat
        name="Switches that succeed"
        value={data && (data.switchSuccess === null ? null : percent(data.switchSuccess, 0))}
        more={data?.switches === undefined ? "last 30 days" : `of ${data.switches} in 30 days`}
      />
      <Stat
        name="Failovers"
        value={data?.failovers}
        more={data?.outageMinutes === undefined ? "last 30 days" : `${elapsed(data.outageMinutes * 60_000)} out, 30 days`}
      />
    </dl>
  );
}
