import { Download, PiggyBank } from "lucide-react";
import { useMemo } from "react";
import { Link, useSearchParams } from "react-router";
import type { Money, ServerSavings } from "../../api/types";
import { downloadCsv, useSavings, useSavingsByServer, type Unit } from "../../api/savings";
import { useSession } from "../../app/SessionContext";
import { cents, percent, usd } from "../../model/money";
import { elapsed, instant } from "../../model/time";
import { Chart, type Series } from "../../ui/Chart";
import { Empty } from "../../ui/Empty";
import { Legend } from "../../ui/Legend";
import { Loaded } from "../../ui/Loaded";
import { Note } from "../../ui/Note";
import { Segments } from "../../ui/Segments";
import { Stat } from "../../ui/Stat";
import { complain } from "../../ui/toasts";
import { ChooseClient } from "../admin/ChooseClient";
import "../server/server.css";
import "./savings.css";

const UNITS: { value: Unit; label: string }[] = [
  { value: "hour", label: "By hour" },
  { value: "day", label: "By day" },
  { value: "month", label: "By month" },
];
const SPANS: Record<Unit, string> = { hour: "the last day", day: "the last 30 days", month: "the last year" };

export function Component() {
  const { clientId } = useSession();
  return clientId ? <Ours /> : <ChooseClient />;
}

function Ours() {
  const [params, setParams] = useSearchParams();
  const by = (params.get("by") ?? "day") as Unit;
  const savings = useSavings(by);
  return (
    <div className="page">
      <header className="page__head">
        <div className="page__title">
          <h1>Savings</h1>
          <p>
            What the same servers would have cost on demand, less all that they cost, replicas and overlap
            included.
          </p>
        </div>
        <div className="page__actions">
          <Csv by={by} label="By time" />
          <Csv by="server" label="By server" />
        </div>
      </header>
      <div className="toolbar">
        <Segments
          label="Unit of time"
          choices={UNITS}
          value={by}
          onChange={(unit) => setParams(unit === "day" ? {} : { by: unit }, { replace: true })}
        />
        {savings.data?.accrued_until && (
          <span className="muted toolbar__count">booked up to {instant(savings.data.accrued_until)}</span>
        )}
      </div>
      <Loaded query={savings} height={460} doing="Loading the savings" absent={<NotKept />}>
        {(view) => (
          <>
            <Totals total={view.total} />
            <Unpriced minutes={view.total.unpriced_minutes} />
            {view.items.length ? (
              <section className="card" aria-labelledby="over-time">
                <header className="card__head">
                  <h2 id="over-time">Saved in {SPANS[by]}</h2>
                  <Legend series={SERIES} />
                </header>
                <div className="card__body">
                  <Bars items={view.items} />
                </div>
              </section>
            ) : (
              <div className="card">
                <Empty icon={PiggyBank} title="Nothing has accrued yet">
                  <p>
                    Savings accrue from the minute a server is adopted. They begin to grow once it runs on
                    spot capacity: plan its first switch from the <Link to="/">fleet</Link>.
                  </p>
                </Empty>
              </div>
            )}
          </>
        )}
      </Loaded>
      <Servers />
    </div>
  );
}

function Totals({ total }: { total: Money }) {
  const part = total.on_demand_usd ? total.saved_usd / total.on_demand_usd : null;
  return (
    <dl className="stats" aria-label="Sums">
      <Stat
        name="Saved"
        value={usd(total.saved_usd)}
        tone={total.saved_usd >= 0 ? "good" : "bad"}
        more={part === null ? undefined : `${percent(part)} of on-demand`}
      />
      <Stat name="On demand it would cost" value={usd(total.on_demand_usd)} />
      <Stat name="It cost" value={usd(total.cost_usd)} more="all of it" />
      <Stat name="Primaries" value={usd(total.primary_usd)} />
      <Stat name="Replicas" value={usd(total.replica_usd)} />
      <Stat name="Overlap of switches" value={usd(total.overlap_usd)} />
      <Stat name="Snapshots" value={usd(total.snapshot_usd)} more="at most" />
    </dl>
  );
}

/** Of an hour without a known price neither side is counted: what is left out has to be said. */
function Unpriced({ minutes }: { minutes: number }) {
  if (minutes <= 0) return null;
  return (
    <Note tone="warn" title="Not all of it could be priced">
      <p>{elapsed(minutes * 60_000)} of instances had no known price; they are in none of the sums.</p>
    </Note>
  );
}

const SERIES = [
  { label: "On demand", colour: "--line-strong" },
  { label: "Cost", colour: "--series-1" },
];

/** Two bars over each other: what is seen of the one behind is what was saved. */
function Bars({ items }: { items: (Money & { start: string })[] }) {
  const times = useMemo(() => items.map((item) => Date.parse(item.start) / 1_000), [items]);
  const series = useMemo<Series[]>(
    () => [
      { label: "On demand", colour: "--line-strong", values: items.map((item) => item.on_demand_usd) },
      { label: "Cost", colour: "--series-1", values: items.map((item) => item.cost_usd) },
    ],
    [items],
  );
  const saved = items.reduce((sum, item) => sum + item.saved_usd, 0);
  return (
    <Chart
      label={`Bars of cost against on-demand; ${usd(saved)} saved in all`}
      times={times}
      series={series}
      height={280}
      format={usd}
      bars
    />
  );
}

function Csv({ by, label }: { by: Unit | "server"; label: string }) {
  return (
    <button
      type="button"
      className="button"
      onClick={() => void downloadCsv(by).catch((error: unknown) => complain("No file was made", error))}
    >
      <Download aria-hidden /> CSV {label.toLowerCase()}
    </button>
  );
}

function Servers() {
  const query = useSavingsByServer(30);
  return (
    <section className="card" aria-labelledby="by-server">
      <header className="card__head">
        <h2 id="by-server">By server, 30 days</h2>
      </header>
      <Loaded
        query={query}
        height={240}
        doing="Loading the servers' savings"
        absent={<p className="card__body muted">This API keeps no ledger of savings yet.</p>}
      >
        {(view) =>
          view.items.length === 0 ? (
            <p className="card__body muted">No server has accrued anything yet.</p>
          ) : (
            <div className="scroll-x" tabIndex={0}>
              <table className="table by-server">
                <thead>
                  <tr>
                    <th>Server</th>
                    <th className="num">Saved</th>
                    <th className="share">Of on-demand</th>
                    <th className="num">On demand</th>
                    <th className="num">Cost</th>
                    <th className="num">Replica</th>
                    <th className="num">Overlap</th>
                  </tr>
                </thead>
                <tbody>
                  {view.items.map((item) => (
                    <ServerRow key={item.server_id} item={item} />
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </section>
  );
}

function ServerRow({ item }: { item: ServerSavings }) {
  const part = item.on_demand_usd ? item.saved_usd / item.on_demand_usd : 0;
  return (
    <tr>
      <td>
        <Link to={`/servers/${item.server_id}`}>{item.name}</Link>
      </td>
      <td className={item.saved_usd >= 0 ? "num tone-good" : "num tone-bad"}>
        <b>{cents(item.saved_usd)}</b>
      </td>
      <td className="share">
        <span className="share__bar">
          <i style={{ width: `${Math.max(0, Math.min(1, part)) * 100}%` }} />
        </span>
        {percent(part)}
      </td>
      <td className="num">{cents(item.on_demand_usd)}</td>
      <td className="num">{cents(item.cost_usd)}</td>
      <td className="num muted">{cents(item.replica_usd)}</td>
      <td className="num muted">{cents(item.overlap_usd)}</td>
    </tr>
  );
}

function NotKept() {
  return (
    <div className="card">
      <Empty icon={PiggyBank} title="No ledger of savings here">
        <p>This API does not keep one yet. Each operation&apos;s receipt says what it saves per hour.</p>
      </Empty>
    </div>
  );
}
