import { Link } from "react-router";
import { useOperationsOf } from "../../api/operations";
import { duration } from "../../model/time";
import { kindName, statusBadge } from "../../model/words";
import { Badge } from "../../ui/Badge";
import { Ago } from "../../ui/Elapsed";
import { Loaded } from "../../ui/Loaded";
import { PoolName } from "../../ui/PoolName";

export function Operations({ serverId }: { serverId: string }) {
  const query = useOperationsOf(serverId);
  return (
    <section className="card" aria-labelledby="operations">
      <header className="card__head">
        <h2 id="operations">Operations</h2>
      </header>
      <Loaded query={query} height={160} doing="Loading its operations">
        {(data) => {
          const items = data.pages.flatMap((page) => page.items);
          if (items.length === 0) return <p className="muted card__body">Nothing was asked of it yet.</p>;
          return (
            <div className="scroll-x">
              <table className="table">
                <thead>
                  <tr>
                    <th>Operation</th>
                    <th>Outcome</th>
                    <th>To</th>
                    <th className="num">Took</th>
                    <th className="num">When</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((operation) => (
                    <tr key={operation.id}>
                      <td>
                        <Link to={`/operations/${operation.id}`}>{kindName(operation.kind)}</Link>
                      </td>
                      <td>
                        <Badge {...statusBadge(operation.status)} />
                      </td>
                      <td>
                        <PoolName pool={operation.to_pool || operation.asked_pool} />
                      </td>
                      <td className="num">
                        {operation.duration_seconds === null
                          ? "—"
                          : duration(operation.duration_seconds * 1_000)}
                      </td>
                      <td className="num muted">
                        <Ago at={operation.requested_at} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Loaded>
      {query.hasNextPage && (
        <div className="card__body">
          <button type="button" className="button" onClick={() => void query.fetchNextPage()}>
            Show earlier ones
          </button>
        </div>
      )}
    </section>
  );
}
