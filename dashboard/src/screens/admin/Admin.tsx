import { ShieldCheck } from "lucide-react";
import { Link } from "react-router";
import { useClients, useSystem } from "../../api/admin";
import { useSession } from "../../app/SessionContext";
import { instant } from "../../model/time";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { Health, Pollers, Schedules, Versions } from "./System";

export function Component() {
  const { session } = useSession();
  return session.kind === "admin" ? <Whole /> : <NotForYou />;
}

function NotForYou() {
  return (
    <Empty icon={ShieldCheck} title="For admins">
      <p>Sign in with the admin&apos;s token to see all clients and the system&apos;s health.</p>
    </Empty>
  );
}

function Whole() {
  const system = useSystem();
  return (
    <div className="page">
      <header className="page__head">
        <div className="page__title">
          <h1>Admin</h1>
          <p>All clients, and what the control plane stands on.</p>
        </div>
      </header>
      <Loaded query={system} height={420} doing="Asking how the system is">
        {(found) => (
          <>
            <Health system={found} />
            <div className="grid-2">
              <div className="stack">
                <Clients />
                <Schedules schedules={found.temporal.schedules} />
              </div>
              <div className="stack">
                <Versions system={found} />
                <Pollers pollers={found.temporal.pollers} />
              </div>
            </div>
          </>
        )}
      </Loaded>
    </div>
  );
}

function Clients() {
  const { clientId, actFor } = useSession();
  const clients = useClients();
  return (
    <section className="card" aria-labelledby="clients">
      <header className="card__head">
        <h2 id="clients">Clients</h2>
      </header>
      <Loaded query={clients} height={200} doing="Loading the clients">
        {(page) =>
          page.items.length === 0 ? (
            <p className="card__body muted">
              None yet: <code>spot clients create my-team</code>
            </p>
          ) : (
            <div className="scroll-x" tabIndex={0}>
              <table className="table">
                <thead>
                  <tr>
                    <th>Client</th>
                    <th>ID</th>
                    <th>Since</th>
                    <th>
                      <span className="visually-hidden">What can be done</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {page.items.map((client) => (
                    <tr key={client.id}>
                      <td>
                        <b>{client.name}</b>
                      </td>
                      <td className="mono muted">{client.id}</td>
                      <td className="nowrap">{instant(client.created_at)}</td>
                      <td className="end">
                        {client.id === clientId ? (
                          <Link to="/">its fleet is shown</Link>
                        ) : (
                          <button type="button" className="button" onClick={() => actFor(client.id)}>
                            Look at its fleet
                          </button>
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Loaded>
    </section>
  );
}
