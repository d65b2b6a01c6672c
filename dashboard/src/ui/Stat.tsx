import type { ReactNode } from "react";

/** A key figure. `undefined`: not loaded yet; null: nobody knows. */
export function Stat({
  name,
  value,
  more,
  tone,
}: {
  name: string;
  value: ReactNode;
  more?: ReactNode;
  tone?: string;
}) {
  const none = value === undefined || value === null;
  return (
    <div className="stat">
      <dt>{name}</dt>
      <dd className={none ? "stat__none" : tone && `tone-${tone}`}>
        {none ? "—" : value}
        <small>{more ?? "\u00a0"}</small>
      </dd>
    </div>
  );
}
