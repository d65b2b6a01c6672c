import type { Change, Receipt } from "./documents";

/** Every attribute that is not as it was, and why it may be so. */
export function Comparison({ receipt }: { receipt: Receipt }) {
  const changes = (receipt.changes as Change[]).toSorted(
    (one, other) => Number(!!one.reason) - Number(!!other.reason),
  );
  return (
    <section className="card" aria-labelledby="comparison">
      <header className="card__head">
        <h2 id="comparison">Before and after</h2>
        <span className="muted">everything else is as it was</span>
      </header>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th>Attribute</th>
              <th>Before</th>
              <th>After</th>
              <th>Why</th>
            </tr>
          </thead>
          <tbody>
            {changes.map((change, index) => (
              <ChangeRow key={index} change={change} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function ChangeRow({ change }: { change: Change }) {
  return (
    <tr>
      <td className="mono">{change.attribute}</td>
      <td className="mono wrap">{change.before || "—"}</td>
      <td className="mono wrap">{change.after || "—"}</td>
      <td className={change.reason ? "muted" : "tone-bad"}>{change.reason || "unexplained"}</td>
    </tr>
  );
}
