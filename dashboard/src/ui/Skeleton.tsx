export function Skeleton({ height }: { height: number }) {
  return <div className="skeleton" style={{ height }} role="status" aria-label="Loading" />;
}
