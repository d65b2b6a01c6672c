import type { Series } from "./Chart";

export function Legend({ series }: { series: Pick<Series, "label" | "colour" | "dashed">[] }) {
  return (
    <ul className="legend">
      {series.map((one) => (
        <li key={one.label}>
          <i style={{ background: `var(${one.colour})` }} data-dashed={one.dashed || undefined} />
          {one.label}
        </li>
      ))}
    </ul>
  );
}
