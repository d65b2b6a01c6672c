import { Activity as Icon } from "lucide-react";
import { useMemo } from "react";
import { useSearchParams } from "react-router";
import { useEvents } from "../../api/events";
import { useFleet } from "../../api/fleet";
import type { StreamEvent } from "../../api/types";
import { useSession } from "../../app/SessionContext";
import { tell } from "../../model/events";
import { Empty } from "../../ui/Empty";
import { ProblemNote } from "../../ui/ProblemNote";
import { Segments } from "../../ui/Segments";
import { Skeleton } from "../../ui/Skeleton";
import { ChooseClient } from "../admin/ChooseClient";
import { EventList } from "./EventList";

type Family = "all" | "operation" | "instance" | "notice" | "decision" | "resource" | "trouble";

const FAMILIES: { value: Family; label: string }[] = [
  { value: "all", label: "All" },
  { value: "trouble", label: "Trouble" },
  { value: "operation", label: "Operations" },
  { value: "instance", label: "Instances" },
  { value: "notice", label: "Notices" },
  { value: "decision", label: "Decisions" },
  { value: "resource", label: "Resources" },
];

export function Component() {
  const { clientId } = useSession();
  return clientId ? <Ours /> : <ChooseClient />;
}

function Ours() {
  const [params, setParams] = useSearchParams();
  const family = (params.get("kind") ?? "all") as Family;
  const server = params.get("server") ?? "";
  const search = params.get("q") ?? "";
  const filter = useMemo(() => (server ? { server_id: server } : {}), [server]);
  const { events, past } = useEvents(filter);
  const fleet = useFleet().data;
  const names = useMemo(() => new Map((fleet ?? []).map((row) => [row.id, row.name])), [fleet]);
  const nameOf = (id: string) => names.get(id) ?? id;
  const shown = events.filter((event) => isOf(event, family) && says(event, search, nameOf));
  const set = (name: string, value: string) => {
    const after = new URLSearchParams(params);
    if (value) after.set(name, value);
    else after.delete(name);
    setParams(after, { replace: true });
  };
  return (
    <div className="page">
      <header className="page__head">
        <div className="page__title">
          <h1>Activity</h1>
          <p>Everything that changes is one event, in order. New ones come in at the top.</p>
        </div>
      </header>
      <div className="toolbar">
        <input
          className="input"
          type="search"
          aria-label="Search the events"
          placeholder="Server, pool, what happened…"
          value={search}
          onChange={(event) => set("q", event.target.value)}
        />
        <select
          className="input"
          aria-label="Server"
          value={server}
          onChange={(event) => set("server", event.target.value)}
        >
          <option value="">All servers</option>
          {(fleet ?? []).map((row) => (
            <option key={row.id} value={row.id}>
              {row.name}
            </option>
          ))}
        </select>
        <Segments
          label="Kind of event"
          choices={FAMILIES}
          value={family}
          onChange={(chosen) => set("kind", chosen === "all" ? "" : chosen)}
        />
      </div>
      {past.error && <ProblemNote error={past.error} doing="Loading earlier events" />}
      <div className="card">
        {past.isPending && <Skeleton height={400} />}
        {!past.isPending && shown.length === 0 && (
          <Empty icon={Icon} title="Nothing like that has happened">
            <p>Events expire after a while; the ones that come are shown here at once.</p>
          </Empty>
        )}
        <Days events={shown} nameOf={nameOf} />
        {past.hasNextPage && (
          <div className="card__body">
            <button
              type="button"
              className="button"
              disabled={past.isFetchingNextPage}
              onClick={() => void past.fetchNextPage()}
            >
              {past.isFetchingNextPage ? "Loading…" : "Show earlier ones"}
            </button>
          </div>
        )}
      </div>
    </div>
  );
}

function Days({ events, nameOf }: { events: StreamEvent[]; nameOf: (id: string) => string }) {
  const days = new Map<string, StreamEvent[]>();
  for (const event of events) {
    const day = new Date(event.at).toLocaleDateString("en-GB", {
      weekday: "long",
      day: "numeric",
      month: "long",
    });
    days.set(day, [...(days.get(day) ?? []), event]);
  }
  return [...days].map(([day, ofDay]) => (
    <section key={day} aria-label={day}>
      <h2 className="day">{day}</h2>
      <EventList events={ofDay} nameOf={nameOf} />
    </section>
  ));
}

function isOf(event: StreamEvent, family: Family): boolean {
  if (family === "all") return true;
  if (family === "trouble") return ["bad", "warn"].includes(tell(event).tone);
  return event.type.startsWith(`${family}.`);
}

function says(event: StreamEvent, search: string, nameOf: (id: string) => string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const told = tell(event);
  const text = `${event.type} ${told.title} ${told.detail} ${event.instance_id ?? ""} ${event.server_id ? nameOf(event.server_id) : ""}`;
  return words.every((word) => text.toLowerCase().includes(word));
}
