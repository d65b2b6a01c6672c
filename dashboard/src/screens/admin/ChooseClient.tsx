import { UsersRound } from "lucide-react";
import { useClients } from "../../api/admin";
import { useSession } from "../../app/SessionContext";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";

/** An admin belongs to no client: it looks at one at a time, as that client sees itself. */
export function ChooseClient() {
  const { actFor } = useSession();
  const clients = useClients();
  return (
    <div className="page">
      <h1 className="visually-hidden">Choose a client</h1>
      <Empty icon={UsersRound} title="Whose fleet?">
        <p>You are signed in as an admin. Choose the client to look at; what you do is done in its name.</p>
        <Loaded query={clients} height={120} doing="Loading the clients">
          {(page) => (
            <div className="toolbar">
              {page.items.map((client) => (
                <button key={client.id} type="button" className="button" onClick={() => actFor(client.id)}>
                  {client.name}
                </button>
              ))}
              {page.items.length === 0 && (
                <p>
                  There is none yet: <code>spot clients create my-team</code>
                </p>
              )}
            </div>
          )}
        </Loaded>
      </Empty>
    </div>
  );
}
