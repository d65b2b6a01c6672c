import { Link } from "react-router";
import { useOperation } from "../../api/operations";
import type { Running } from "../../model/fleet";
import { stepRows } from "../../model/steps";
import { kindName } from "../../model/words";
import { Elapsed } from "../../ui/Elapsed";
import { Steps } from "../../ui/Steps";
import { Control } from "../operation/Control";

/** The operation in progress, its steps ticking off as they happen. */
export function InProgress({ running }: { running: Running }) {
  const operation = useOperation(running.operationId).data;
  return (
    <section className="card in-progress" aria-labelledby="in-progress">
      <header className="card__head">
        <h2 id="in-progress">
          {kindName(running.kind)} in progress{" "}
          <span className="muted">
            <Elapsed since={running.since} />
          </span>
        </h2>
        {operation && <Control operation={operation} />}
        {operation && <Link to={`/operations/${operation.id}`}>All details</Link>}
      </header>
      <div className="card__body">
        {operation ? (
          <Steps rows={stepRows(operation)} />
        ) : (
          <p className="muted" role="status">
            {running.operationId.startsWith("intent:")
              ? "Asking for it…"
              : "Accepted; it begins in a moment."}
          </p>
        )}
      </div>
    </section>
  );
}
