import { useMemo } from "react";
import { useParams, useSearchParams, Link } from "react-router";
import { useFleet } from "../../api/fleet";
import { useServer } from "../../api/servers";
import type { Server } from "../../api/types";
import { rowState, type FleetRow } from "../../model/fleet";
import { Badge } from "../../ui/Badge";
import { Elapsed, Until } from "../../ui/Elapsed";
import { Loaded } from "../../ui/Loaded";
import { Note } from "../../ui/Note";
import { SwitchDialog } from "../switching/SwitchDialog";
import { useFreshRows } from "../fleet/useFreshRows";
import { Actions } from "./Actions";
import { Decisions } from "./Decisions";
import { Facts } from "./Facts";
import { InProgress } from "./InProgress";
import { Operations } from "./Operations";
import { Policy } from "./Policy";
import { Pools } from "./Pools";
import { Recent } from "./Recent";
import { ServerStats } from "./ServerStats";
import { Timeline } from "./Timeline";
import "./server.css";

export function Component() {
  const { serverId = "" } = useParams();
  const server = useServer(serverId);
  const fleet = useFleet();
  const row = fleet.data?.find((one) => one.id === serverId);
  useFreshRows(useMemo(() => [serverId], [serverId]));
  return (
    <div className="page">
      <Loaded query={server} height={640} doing="Loading the server" absent={<Absent />}>
        {(found) => <Whole server={found} row={row} />}
      </Loaded>
    </div>
  );
}

function Whole({ server, row }: { server: Server; row: FleetRow | undefined }) {
  const [params, setParams] = useSearchParams();
  const close = () => setParams({}, { replace: true });
  const ended = server.state === "ended";
  return (
    <>
      <Head server={server} row={row} onSwitch={() => setParams({ switch: "" }, { replace: true })} />
      {row?.attention && (
        <Note tone="bad" title="This server needs a person">
          <p>
            {row.attention}{" "}
            {row.last && <Link to={`/operations/${row.last.operationId}`}>See its last operation</Link>}
          </p>
        </Note>
      )}
      {row?.deadline && (
        <Note tone="warn" title="AWS is taking the primary away">
          <p>
            It ends in <Until at={row.deadline} />. The rescue runs by itself.
          </p>
        </Note>
      )}
      {ended && <Note tone="idle" title={`This server has ended (${server.ended_how ?? "released"})`} />}
      {row && <ServerStats row={row} />}
      {row?.running && <InProgress running={row.running} />}
      <Decisions serverId={server.id} />
      <Timeline server={server} />
      <div className="grid-2">
        <div className="stack">
          <Pools server={server} row={row} />
          <Operations serverId={server.id} />
          <Recent serverId={server.id} />
        </div>
        <div className="stack">
          <Facts server={server} row={row} />
          <Policy server={server} />
        </div>
      </div>
      {params.has("switch") && !ended && (
        <SwitchDialog server={server} onDemandUsd={row?.onDemandUsdPerHour ?? null} onClose={close} />
      )}
    </>
  );
}

function Head({
  server,
  row,
  onSwitch,
}: {
  server: Server;
  row: FleetRow | undefined;
  onSwitch: () => void;
}) {
  const state = row ? rowState(row) : null;
  return (
    <header className="page__head">
      <div className="page__title">
        <p>
          <Link to="/">Fleet</Link> / {server.region}
        </p>
        <h1 className="title-row">
          <span className="truncate">{server.name}</span>
          {state && <Badge label={state.label} tone={state.tone} />}
          {state?.since && (
            <small className="muted">
              <Elapsed since={state.since} />
            </small>
          )}
        </h1>
      </div>
      {server.state !== "ended" && <Actions server={server} row={row} onSwitch={onSwitch} />}
    </header>
  );
}

function Absent() {
  return (
    <Note tone="warn" title="There is no such server">
      <p>
        It may belong to another client, or its address is mistyped. <Link to="/">Go to the fleet</Link>
      </p>
    </Note>
  );
}
