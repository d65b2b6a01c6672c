import type { CSSProperties } from "react";
import { heatMap, warmth, type Measure, type PoolFacts } from "../../model/heat";
import { below, percent, price } from "../../model/money";
import { useNow } from "../../ui/now";

interface Props {
  pools: PoolFacts[];
  measure: Measure;
  chosen: string | undefined;
  onChoose: (id: string) => void;
}

/** Colour for the eye, the figure for the mind: both say the same. */
export function HeatTable({ pools, measure, chosen, onChoose }: Props) {
  const map = heatMap(pools);
  return (
    <section className="card" aria-label="Heat map of zones by types">
      <div className="scroll-x heat-scroll" tabIndex={0} role="region" aria-label="Pools">
        <table className="heat">
          <thead>
            <tr>
              <th>Type</th>
              {map.zones.map((zone) => (
                <th key={zone}>{zone}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {map.types.map((type) => (
              <tr key={type}>
                <th scope="row">{type}</th>
                {map.zones.map((zone) => (
                  <Cell key={zone} pool={map.cell(type, zone)} {...{ measure, pools, chosen, onChoose }} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Cell({ pool, measure, pools, chosen, onChoose }: Props & { pool: PoolFacts | undefined }) {
  const now = useNow();
  if (!pool) return <td className="heat__none">·</td>;
  const heat = warmth(pool, measure, pools);
  const style = heat === null ? {} : ({ "--heat": heat } as CSSProperties);
  return (
    <td>
      <button
        type="button"
        className="heat__cell"
        data-measure={measure}
        data-known={heat !== null}
        aria-pressed={pool.id === chosen}
        aria-label={`${pool.id}: ${said(pool, measure)}`}
        style={style}
        onClick={() => onChoose(pool.id)}
      >
        {said(pool, measure)}
        {pool.coolDownUntil && Date.parse(pool.coolDownUntil) > now && <i title="rests" />}
      </button>
    </td>
  );
}

function said(pool: PoolFacts, measure: Measure): string {
  if (measure === "price") return price(pool.usd);
  if (measure === "trouble") return troubles(pool) ? String(troubles(pool)) : "none";
  return percent(below(pool.usd, pool.onDemandUsd));
}

const troubles = (pool: PoolFacts): number => pool.lastWeek.notices + pool.lastWeek.capacity_failures;
