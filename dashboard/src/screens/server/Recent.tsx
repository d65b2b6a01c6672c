import { useMemo } from "react";
import { Link } from "react-router";
import { useEvents } from "../../api/events";
import { EventList } from "../activity/EventList";

const SHOWN = 12;

export function Recent({ serverId }: { serverId: string }) {
  const filter = useMemo(() => ({ server_id: serverId }), [serverId]);
  const { events } = useEvents(filter);
  return (
    <section className="card" aria-labelledby="recent">
      <header className="card__head">
        <h2 id="recent">Events</h2>
        <Link to={`/activity?server=${serverId}`}>All of them</Link>
      </header>
      {events.length ? (
        <EventList events={events.slice(0, SHOWN)} />
      ) : (
        <p className="muted card__body">Nothing has happened yet.</p>
      )}
    </section>
  );
}
