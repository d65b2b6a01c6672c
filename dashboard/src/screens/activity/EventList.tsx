import { Link } from "react-router";
import type { StreamEvent } from "../../api/types";
import { tell } from "../../model/events";
import { clock, instant } from "../../model/time";
import "./activity.css";

interface Props {
  events: StreamEvent[];
  /** Where events of many servers stand together, each says whose it is. */
  nameOf?: (serverId: string) => string;
}

export function EventList({ events, nameOf }: Props) {
  return (
    <ol className="events">
      {events.map((event) => (
        <EventItem key={event.seq} event={event} nameOf={nameOf} />
      ))}
    </ol>
  );
}

function EventItem({ event, nameOf }: { event: StreamEvent } & Pick<Props, "nameOf">) {
  const told = tell(event);
  return (
    <li className="event-row" data-tone={told.tone} data-seq={event.seq} data-type={event.type}>
      <time dateTime={event.at} title={instant(event.at)} className="muted">
        {clock(event.at)}
      </time>
      <i className="event-row__dot" aria-hidden />
      <span className="event-row__what">
        <b>{told.title}</b> <span className="muted">{told.detail}</span>
      </span>
      <span className="event-row__where">
        {nameOf && event.server_id && (
          <Link to={`/servers/${event.server_id}`}>{nameOf(event.server_id)}</Link>
        )}
        {event.operation_id && (
          <Link to={`/operations/${event.operation_id}`} className="muted">
            operation
          </Link>
        )}
      </span>
    </li>
  );
}
