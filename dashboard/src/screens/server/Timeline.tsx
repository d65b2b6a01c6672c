import { useState } from "react";
import { useLife } from "../../api/timeline";
import type { Server } from "../../api/types";
import { duration, instant } from "../../model/time";
import { lanes, place, ticks, type Life, type Span, type Stay } from "../../model/timeline";
import { partsOf } from "../../model/pools";
import { Loaded } from "../../ui/Loaded";
import { useNow } from "../../ui/now";
import { Segments } from "../../ui/Segments";
import { useNarrow } from "../../ui/useNarrow";

type Range = "hour" | "day" | "week" | "all";

const RANGES: { value: Range; label: string; ms: number }[] = [
  { value: "hour", label: "1 h", ms: 3_600_000 },
  { value: "day", label: "24 h", ms: 86_400_000 },
  { value: "week", label: "7 d", ms: 604_800_000 },
  { value: "all", label: "All", ms: Infinity },
];

/** Who was primary when, and in which pool; notices and outages where they fell. */
export function Timeline({ server }: { server: Server }) {
  const life = useLife(server.id);
  const [range, setRange] = useState<Range>("all");
  const now = useNow();
  return (
    <section className="card" aria-labelledby="timeline">
      <header className="card__head">
        <h2 id="timeline">Its instances over time</h2>
        <Segments label="Time shown" choices={RANGES} value={range} onChange={setRange} />
      </header>
      <Loaded query={life} height={140} doing="Loading its instances">
        {(found) => <Lanes life={found} span={spanOf(found, range, now)} />}
      </Loaded>
    </section>
  );
}

function spanOf(life: Life, range: Range, now: number): Span {
  const first = Math.min(now - 60_000, ...life.stays.map((stay) => stay.from));
  const wanted = RANGES.find((one) => one.value === range)?.ms ?? Infinity;
  return { from: Math.max(first, now - wanted), to: now };
}

function Lanes({ life, span }: { life: Life; span: Span }) {
  const rows = lanes(life.stays, span);
  const narrow = useNarrow();
  const at = (moment: number) => `${place(span, moment) * 100}%`;
  const inSpan = (from: number, to: number) => to >= span.from && from <= span.to;
  return (
    <div className="timeline">
      <ol className="timeline__lanes" aria-label="Instances">
        {rows.map((lane) => (
          <li key={lane[0]?.instanceId} className="lane">
            <span className="lane__name mono">{lane[0]?.instanceId}</span>
            <span className="lane__bars">
              {lane.map((stay) => (
                <Bar key={stay.from} stay={stay} span={span} />
              ))}
            </span>
          </li>
        ))}
      </ol>
      <div className="timeline__over" aria-hidden>
        {ticks(span, narrow ? 3 : 7).map((tick) => (
          <span key={tick} className="tick" style={{ left: at(tick) }}>
            <i>{tickLabel(tick, span)}</i>
          </span>
        ))}
        {life.outages
          .filter((outage) => inSpan(outage.from, outage.to))
          .map((outage) => (
            <span
              key={outage.from}
              className="outage"
              title={`out for ${duration(outage.to - outage.from)}`}
              style={{
                left: at(outage.from),
                width: `${(place(span, outage.to) - place(span, outage.from)) * 100}%`,
              }}
            />
          ))}
        {life.marks
          .filter((mark) => inSpan(mark.at, mark.at))
          .map((mark) => (
            <span
              key={`${mark.at}${mark.kind}`}
              className="mark"
              data-kind={mark.kind}
              style={{ left: at(mark.at) }}
            />
          ))}
      </div>
      <Key life={life} />
    </div>
  );
}

function Bar({ stay, span }: { stay: Stay; span: Span }) {
  const from = place(span, stay.from);
  const to = place(span, stay.to ?? span.to);
  const parts = partsOf(stay.pool);
  const label = parts ? `${parts.type} ${parts.zone}` : stay.pool;
  const until = stay.to ? instant(new Date(stay.to).toISOString()) : "now";
  const words = `${stay.role} in ${stay.pool}, ${instant(new Date(stay.from).toISOString())} to ${until}`;
  return (
    <span
      className="bar"
      role="img"
      aria-label={words}
      title={words}
      data-role={stay.role}
      data-lifecycle={parts?.lifecycle}
      style={{ left: `${from * 100}%`, width: `max(3px, ${(to - from) * 100}%)` }}
    >
      <span className="truncate">{label}</span>
    </span>
  );
}

function Key({ life }: { life: Life }) {
  return (
    <ul className="legend timeline__key">
      <li>
        <i className="key key--spot" /> primary on spot
      </li>
      <li>
        <i className="key key--on-demand" /> primary on-demand
      </li>
      <li>
        <i className="key key--replica" /> replica
      </li>
      {life.marks.length > 0 && (
        <li>
          <i className="key key--mark" /> notice from AWS
        </li>
      )}
      {life.outages.length > 0 && (
        <li>
          <i className="key key--outage" /> service out
        </li>
      )}
    </ul>
  );
}

function tickLabel(at: number, span: Span): string {
  const date = new Date(at);
  if (span.to - span.from > 2 * 86_400_000)
    return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const seconds = span.to - span.from < 600_000;
  return date.toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(seconds && { second: "2-digit" }),
  });
}
