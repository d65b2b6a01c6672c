import type { PoolFacts } from "../../model/heat";
import { Until } from "../../ui/Elapsed";
import { PoolName } from "../../ui/PoolName";

/** Pools that gave trouble: what they did, and how long they are passed over. */
export function Resting({ pools }: { pools: PoolFacts[] }) {
  const troubled = pools.filter((pool) => pool.notices + pool.capacityFailures > 0 || pool.coolDownUntil);
  return (
    <section className="card" aria-labelledby="troubled">
      <header className="card__head">
        <h2 id="troubled">Notices and missing capacity</h2>
      </header>
      {troubled.length === 0 ? (
        <p className="card__body muted">No pool has given a notice or refused a launch.</p>
      ) : (
        <div className="scroll-x">
          <table className="table">
            <thead>
              <tr>
                <th>Pool</th>
                <th className="num">Notices</th>
                <th className="num">No capacity</th>
                <th>Rests for</th>
                <th>Because</th>
              </tr>
            </thead>
            <tbody>
              {troubled.map((pool) => (
                <tr key={pool.id}>
                  <td>
                    <PoolName pool={pool.id} />
                  </td>
                  <td className="num">{pool.notices}</td>
                  <td className="num">{pool.capacityFailures}</td>
                  <td>{pool.coolDownUntil ? <Until at={pool.coolDownUntil} /> : "—"}</td>
                  <td className="muted">{pool.coolDownReason || "—"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
