import { partsOf } from "../model/pools";

/** A pool's name with what matters most first: whether it can be taken away. */
export function PoolName({ pool, short }: { pool: string | null | undefined; short?: boolean }) {
  const parts = partsOf(pool);
  if (!parts) return <span className="muted">{pool || "—"}</span>;
  return (
    <span className="pool">
      <span className={parts.lifecycle === "spot" ? "chip chip--spot" : "chip"}>{parts.lifecycle}</span>
      <span className="truncate">
        {parts.type} {!short && <span className="muted">{parts.zone}</span>}
      </span>
    </span>
  );
}
