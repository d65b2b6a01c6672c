import { Link } from "react-router";
import { useSummary } from "../../api/savings";
import { rowState, type FleetRow } from "../../model/fleet";
import { percent, usd } from "../../model/money";
import { elapsed } from "../../model/time";
import { Stat } from "../../ui/Stat";

/** Both questions on the first screen: what needs me, and what do we save. */
export function Totals({ rows }: { rows: FleetRow[] | undefined }) {
  return (
    <dl className="stats" aria-label="The fleet in figures">
      <NeedsYou rows={rows} />
      <Motion rows={rows} />
      <Savings />
      <Record />
    </dl>
  );
}

/** Counted from the rows: they are as live as the table below. */
function NeedsYou({ rows }: { rows: FleetRow[] | undefined }) {
  const troubled = rows?.filter((row) => rowState(row).tone === "bad").length ?? 0;
  const waiting = rows?.filter((row) => row.decisionId).length ?? 0;
  const calm = troubled + waiting === 0;
  const words = waiting ? `${waiting} decision${waiting === 1 ? " waits" : "s wait"}` : "show them";
  return (
    <Stat
      name="Needs attention"
      value={rows && troubled + waiting}
      tone={calm ? "good" : troubled ? "bad" : "warn"}
      more={calm ? "all is well" : <Link to="/?view=attention">{words}</Link>}
    />
  );
}

function Motion({ rows }: { rows: FleetRow[] | undefined }) {
  const { data } = useSummary();
  const moving = rows?.filter((row) => rowState(row).tone === "busy").length;
  const online = rows?.filter((row) => row.primary?.agentOnline).length;
  return (
    <>
      <Stat
        name="In progress"
        value={moving}
        tone={moving ? "busy" : undefined}
        more={moving ? <Link to="/?view=moving">show them</Link> : "nothing moves"}
      />
      <Stat
        name="Servers"
        value={rows?.length}
        more={rows && `${data?.agents_online ?? online} agents online`}
      />
    </>
  );
}

function Savings() {
  const { data } = useSummary();
  return (
    <>
      <Stat name="Saved this hour" value={data && usd(data.saved.hour.saved_usd)} more="against on-demand" />
      <Stat
        name="Saved today"
        value={data && usd(data.saved.day.saved_usd)}
        more={<Link to="/savings">by server</Link>}
      />
      <Stat
        name="Saved this month"
        value={data && usd(data.saved.month.saved_usd)}
        tone={data && data.saved.month.saved_usd > 0 ? "good" : undefined}
        more="replicas deducted"
      />
    </>
  );
}

function Record() {
  const { data } = useSummary();
  const rate = data?.switch_success_rate;
  return (
    <>
      <Stat
        name="Switch success"
        value={rate === undefined || rate === null ? null : percent(rate)}
        more={data ? `${data.switches} in 30 days` : "30 days"}
      />
      <Stat
        name="Failovers"
        value={data?.failovers}
        more={data ? `${elapsed(data.outage_minutes * 60_000)} out, 30 d` : "30 days"}
      />
    </>
  );
}
