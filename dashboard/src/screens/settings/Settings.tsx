import { useSession } from "../../app/SessionContext";
import { ChooseClient } from "../admin/ChooseClient";
import { Defaults } from "./Defaults";
import { Tokens } from "./Tokens";
import { Webhooks } from "./Webhooks";
import "./settings.css";

export function Component() {
  const { clientId } = useSession();
  if (!clientId) return <ChooseClient />;
  return (
    <div className="page">
      <header className="page__head">
        <div className="page__title">
          <h1>Settings</h1>
          <p>What holds for all servers of this client, who may come in, and who is told.</p>
        </div>
      </header>
      <Defaults clientId={clientId} />
      <Tokens clientId={clientId} />
      <Webhooks />
    </div>
  );
}
