import { useWindowVirtualizer } from "@tanstack/react-virtual";
import {
  createColumnHelper,
  getCoreRowModel,
  getSortedRowModel,
  useReactTable,
  type SortingState,
} from "@tanstack/react-table";
import { ArrowDown, ArrowUp } from "lucide-react";
import { useLayoutEffect, useMemo, useRef, useState } from "react";
import type { FleetRow } from "../../model/fleet";
import { useFreshRows } from "./useFreshRows";
import { useNarrow } from "../../ui/useNarrow";
import { FleetCard } from "./FleetCard";
import { FleetLine } from "./FleetLine";
import { valueOf, type Sort, type SortKey } from "./filter";

const COLUMNS: { key: SortKey; label: string }[] = [
  { key: "name", label: "Server" },
  { key: "pool", label: "Pool" },
  { key: "state", label: "State" },
  { key: "agent", label: "Agent" },
  { key: "price", label: "Price per hour" },
  { key: "risk", label: "Interruption risk" },
  { key: "last", label: "Last operation" },
];
const LINE = 54;
const CARD = 132;

const helper = createColumnHelper<FleetRow>();
const columns = COLUMNS.map(({ key }) => helper.accessor((row) => valueOf(row, key), { id: key }));

interface Props {
  rows: FleetRow[];
  sort: Sort;
  onSort: (sort: string) => void;
}

/** Thousands of servers: only what can be seen is drawn. On a phone each is a card. */
export function FleetTable({ rows, sort, onSort }: Props) {
  const narrow = useNarrow();
  const sorted = useSorted(rows, sort);
  const list = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  useLayoutEffect(
    () => setOffset((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY),
    [narrow],
  );
  const virtual = useWindowVirtualizer({
    count: sorted.length,
    estimateSize: () => (narrow ? CARD : LINE),
    overscan: 8,
    scrollMargin: offset,
    getItemKey: (index) => sorted[index]?.id ?? index,
  });
  useFreshRows(virtual.getVirtualItems().flatMap((item) => sorted[item.index]?.id ?? []));
  const Row = narrow ? FleetCard : FleetLine;
  return (
    <div
      className={narrow ? "fleet-cards" : "card fleet"}
      role="table"
      aria-label="Servers"
      aria-rowcount={sorted.length + 1}
    >
      <div className="fleet__head" role="row" aria-rowindex={1}>
        {COLUMNS.map((column) => (
          <Head key={column.key} id={column.key} label={column.label} sort={sort} onSort={onSort} />
        ))}
      </div>
      <div ref={list} role="rowgroup" className="fleet__body" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = sorted[item.index];
          if (!row) return null;
          const style = { transform: `translateY(${item.start - offset}px)`, height: item.size };
          return <Row key={item.key} row={row} index={item.index + 2} style={style} />;
        })}
      </div>
    </div>
  );
}

function useSorted(rows: FleetRow[], sort: Sort): FleetRow[] {
  const sorting = useMemo<SortingState>(() => [{ id: sort.key, desc: sort.down }], [sort.key, sort.down]);
  // eslint-disable-next-line react-hooks/incompatible-library -- its model is read here, and nothing of it memoised
  const table = useReactTable({
    data: rows,
    columns,
    state: { sorting },
    getRowId: (row) => row.id,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  return table.getSortedRowModel().rows.map((row) => row.original);
}

interface HeadProps {
  id: SortKey;
  label: string;
  sort: Sort;
  onSort: (sort: string) => void;
}

function Head({ id, label, sort, onSort }: HeadProps) {
  const mine = sort.key === id;
  const Arrow = sort.down ? ArrowDown : ArrowUp;
  return (
    <div role="columnheader" aria-sort={mine ? (sort.down ? "descending" : "ascending") : "none"}>
      <button type="button" className="sort" onClick={() => onSort(mine && !sort.down ? `-${id}` : id)}>
        {label}
        {mine && <Arrow aria-hidden />}
      </button>
    </div>
  );
}
