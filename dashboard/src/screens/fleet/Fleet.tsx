import { Search, Server as ServerIcon } from "lucide-react";
import { useDeferredValue, useMemo } from "react";
import { useSearchParams } from "react-router";
import { useFirstRows, useFleet } from "../../api/fleet";
import { useSession } from "../../app/SessionContext";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { Segments } from "../../ui/Segments";
import type { FleetRow } from "../../model/fleet";
import { ChooseClient } from "../admin/ChooseClient";
import { Adopt } from "./Adopt";
import { FleetTable } from "./FleetTable";
import { inView, matches, type Sort, type SortKey, type View } from "./filter";
import { Totals } from "./Totals";
import "./fleet.css";

export function Fleet() {
  const { clientId } = useSession();
  return clientId ? <Ours /> : <ChooseClient />;
}

function Ours() {
  const fleet = useFleet();
  const first = useFirstRows();
  const rows = fleet.data ?? (fleet.isPending ? first : undefined);
  return (
    <div className="page page--fleet">
      <header className="page__head">
        <div className="page__title">
          <h1>Fleet</h1>
        </div>
      </header>
      <Totals rows={fleet.data} />
      {rows ? (
        rows.length ? (
          <List rows={rows} more={!fleet.data} />
        ) : (
          <FirstServer />
        )
      ) : (
        <Loaded query={fleet} height={480} doing="Loading the fleet">
          {() => null}
        </Loaded>
      )}
    </div>
  );
}

/** `more`: the rest is on its way, so nothing is counted yet.
 * What is searched, chosen and sorted by stands in the address: it survives a reload and can be sent on. */
function List({ rows, more }: { rows: FleetRow[]; more: boolean }) {
  const [params, setParams] = useSearchParams();
  const view = (params.get("view") ?? "all") as View;
  const search = params.get("q") ?? "";
  const sort = sortOf(params.get("sort"));
  const wanted = useDeferredValue(search);
  const shown = useMemo(
    () => rows.filter((row) => inView(row, view) && matches(row, wanted)),
    [rows, view, wanted],
  );
  const set = (name: string, value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value) after.set(name, value);
        else after.delete(name);
        return after;
      },
      { replace: true },
    );
  return (
    <>
      <div className="toolbar">
        <label className="search">
          <Search aria-hidden />
          <span className="visually-hidden">Search</span>
          <input
            className="input"
            type="search"
            placeholder="Name, pool, instance, state…"
            value={search}
            onChange={(event) => set("q", event.target.value)}
          />
        </label>
        <Segments
          label="Which servers"
          value={view}
          onChange={(chosen) => set("view", chosen === "all" ? "" : chosen)}
          choices={choicesOf(rows, more)}
        />
        <span className="muted toolbar__count" role="status">
          {more
            ? "the rest is loading"
            : shown.length === rows.length
              ? `${rows.length} servers`
              : `${shown.length} of ${rows.length}`}
        </span>
      </div>
      {shown.length || more ? (
        <FleetTable rows={shown} sort={sort} onSort={(next) => set("sort", next)} />
      ) : (
        <div className="card">
          <Empty icon={Search} title="No server is like that">
            <button type="button" className="button" onClick={() => setParams({}, { replace: true })}>
              Show all {rows.length}
            </button>
          </Empty>
        </div>
      )}
    </>
  );
}

function choicesOf(rows: FleetRow[], more: boolean) {
  const count = (view: View) => rows.filter((row) => inView(row, view)).length;
  const choices: { value: View; label: string }[] = [
    { value: "all", label: "All" },
    { value: "attention", label: "Needs you" },
    { value: "moving", label: "In progress" },
    { value: "spot", label: "Spot" },
    { value: "on-demand", label: "On-demand" },
  ];
  return more ? choices : choices.map((choice) => ({ ...choice, count: count(choice.value) }));
}

function sortOf(text: string | null): Sort {
  if (!text) return { key: "state", down: false }; // what needs somebody comes first
  return { key: text.replace("-", "") as SortKey, down: text.startsWith("-") };
}

function FirstServer() {
  return (
    <div className="card">
      <Empty icon={ServerIcon} title="No servers yet">
        <p>
          A server is a running EC2 instance that you put into our care. Looking changes nothing: what would
          be lost is said first.
        </p>
        <Adopt />
      </Empty>
    </div>
  );
}
