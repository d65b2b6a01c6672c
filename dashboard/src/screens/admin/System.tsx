import type { System } from "../../api/admin";
import type { Schemas } from "../../api/types";
import { instant } from "../../model/time";
import { sentence } from "../../model/words";
import { Badge } from "../../ui/Badge";
import { Ago } from "../../ui/Elapsed";

export function Health({ system }: { system: System }) {
  const { database, temporal, process } = system;
  const behind = database.ok && database.migration !== database.migration_wanted;
  return (
    <section className="card" aria-labelledby="health">
      <header className="card__head">
        <h2 id="health">System health</h2>
      </header>
      <div className="scroll-x" tabIndex={0}>
        <table className="table">
          <tbody>
            <Part name="Database" ok={database.ok} address={database.address}>
              {database.detail ||
                (behind
                  ? `its schema is at ${database.migration}, not ${database.migration_wanted}`
                  : answersIn(database.ms))}
            </Part>
            <Part name="Temporal" ok={temporal.ok} address={temporal.address}>
              {temporal.detail || `namespace ${temporal.namespace}`}{" "}
              {temporal.ui_url && (
                <a href={temporal.ui_url} target="_blank" rel="noreferrer">
                  open its page
                </a>
              )}
            </Part>
            <Part name="Workers" ok={temporal.pollers.length > 0} address="">
              {temporal.pollers.length ? `${temporal.pollers.length} poll` : "nobody polls: start a worker"}
            </Part>
            <Part name="This API" ok address={`${process.host}, process ${process.pid}`}>
              {process.stream_readers} streams open, up since {instant(process.started_at)}
            </Part>
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface PartProps {
  name: string;
  ok: boolean;
  address: string;
  children: React.ReactNode;
}

function Part({ name, ok, address, children }: PartProps) {
  return (
    <tr>
      <td>
        <b>{name}</b>
      </td>
      <td>
        <Badge label={ok ? "Well" : "Away"} tone={ok ? "good" : "bad"} />
      </td>
      <td className="mono muted">{address}</td>
      <td className="wrap">{children}</td>
    </tr>
  );
}

const answersIn = (ms: number | null): string => (ms === null ? "" : `answers in ${ms.toFixed(1)} ms`);

export function Versions({ system }: { system: System }) {
  const { versions, counts } = system;
  return (
    <section className="card" aria-labelledby="versions">
      <header className="card__head">
        <h2 id="versions">Versions and counts</h2>
      </header>
      <dl className="facts card__body">
        <dt>Page</dt>
        <dd className="mono">{__PAGE_VERSION__}</dd>
        {Object.entries(versions).map(([name, version]) => (
          <div key={name} className="facts__pair">
            <dt>{sentence(name)}</dt>
            <dd className="mono">{version || "not known"}</dd>
          </div>
        ))}
        {Object.entries(counts).map(([name, count]) => (
          <div key={name} className="facts__pair">
            <dt>{sentence(name)}</dt>
            <dd>{count}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

export function Pollers({ pollers }: { pollers: Schemas["PollerView"][] }) {
  return (
    <section className="card" aria-labelledby="pollers">
      <header className="card__head">
        <h2 id="pollers">Who polls</h2>
      </header>
      <div className="scroll-x" tabIndex={0}>
        <table className="table">
          <tbody>
            {pollers.map((poller) => (
              <tr key={`${poller.queue}${poller.kind}${poller.identity}`}>
                <td>
                  {poller.queue} <span className="muted">{poller.kind}</span>
                </td>
                <td className="mono muted wrap">{poller.identity}</td>
                <td className="num muted">
                  <Ago at={poller.last_poll_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

export function Schedules({ schedules }: { schedules: Schemas["ScheduleView"][] }) {
  return (
    <section className="card" aria-labelledby="schedules">
      <header className="card__head">
        <h2 id="schedules">Schedules</h2>
      </header>
      <div className="scroll-x" tabIndex={0}>
        <table className="table">
          <tbody>
            {schedules.map((schedule) => (
              <tr key={schedule.schedule_id}>
                <td className="wrap">
                  {schedule.schedule_id} {schedule.paused && <Badge label="Paused" tone="warn" />}
                </td>
                <td className="num muted">
                  last <Ago at={schedule.last_run_at} />
                </td>
                <td className="num muted nowrap">next {instant(schedule.next_run_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
