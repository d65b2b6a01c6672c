import { ExternalLink } from "lucide-react";
import { Link, useParams } from "react-router";
import { useOperation } from "../../api/operations";
import type { Operation } from "../../api/types";
import { stepRows } from "../../model/steps";
import { duration, instant } from "../../model/time";
import { isRunning, kindName, statusBadge } from "../../model/words";
import { Badge } from "../../ui/Badge";
import { Ago, Elapsed } from "../../ui/Elapsed";
import { Loaded } from "../../ui/Loaded";
import { Note } from "../../ui/Note";
import { PoolName } from "../../ui/PoolName";
import { Steps } from "../../ui/Steps";
import { Comparison } from "./Comparison";
import { Control } from "./Control";
import { Receipt } from "./Receipt";
import type { Receipt as ReceiptDocument } from "./documents";

export function Component() {
  const { operationId = "" } = useParams();
  const query = useOperation(operationId);
  return (
    <div className="page">
      <Loaded query={query} height={600} doing="Loading the operation" absent={<Gone />}>
        {(operation) => <Whole operation={operation} />}
      </Loaded>
    </div>
  );
}

function Whole({ operation }: { operation: Operation }) {
  const receipt = operation.receipt as ReceiptDocument | null; // the API fills in every field
  const running = isRunning(operation.status);
  return (
    <>
      <Head operation={operation} />
      {operation.attention && (
        <Note tone="bad" title="This operation needs a person">
          <p>{operation.attention_reason || operation.reason}</p>
        </Note>
      )}
      {!running && !operation.attention && operation.reason && operation.status !== "committed" && (
        <Note tone="warn" title={`Why it was ${statusBadge(operation.status).label.toLowerCase()}`}>
          <p>{operation.reason}</p>
        </Note>
      )}
      <div className="grid-2">
        <section className="card" aria-labelledby="steps">
          <header className="card__head">
            <h2 id="steps">Steps</h2>
            <span className="muted">
              {running && operation.started_at ? (
                <Elapsed since={operation.started_at} />
              ) : (
                duration(lasted(operation))
              )}
            </span>
          </header>
          <div className="card__body">
            <Steps rows={stepRows(operation)} detailed />
            {running && !(operation.steps ?? []).length && <p className="muted">Waits for its turn.</p>}
          </div>
        </section>
        <div className="stack">
          <Facts operation={operation} />
          {receipt && <Receipt receipt={receipt} />}
        </div>
      </div>
      {receipt && receipt.changes.length > 0 && <Comparison receipt={receipt} />}
    </>
  );
}

function Head({ operation }: { operation: Operation }) {
  const name = operation.server_name || operation.server_id;
  return (
    <header className="page__head">
      <div className="page__title">
        <p>
          <Link to="/">Fleet</Link> / <Link to={`/servers/${operation.server_id}`}>{name}</Link>
        </p>
        <h1>
          {kindName(operation.kind)} of {name} <Badge {...statusBadge(operation.status)} />
        </h1>
      </div>
      <Control operation={operation} />
    </header>
  );
}

function Facts({ operation }: { operation: Operation }) {
  const link = operation.temporal_url;
  return (
    <section className="card" aria-labelledby="facts">
      <header className="card__head">
        <h2 id="facts">Facts</h2>
        {link && (
          <a className="button" href={link} target="_blank" rel="noreferrer">
            Workflow in Temporal <ExternalLink aria-hidden />
          </a>
        )}
      </header>
      <dl className="facts card__body">
        <dt>From</dt>
        <dd>
          <PoolName pool={operation.from_pool} />
        </dd>
        <dt>To</dt>
        <dd>
          <PoolName pool={operation.to_pool || operation.asked_pool} />
        </dd>
        <dt>Handoff</dt>
        <dd>{operation.handoff || "—"}</dd>
        <dt>Asked</dt>
        <dd>
          {instant(operation.requested_at)}{" "}
          <span className="muted">
            (<Ago at={operation.requested_at} />)
          </span>
        </dd>
        <dt>By</dt>
        <dd>{operation.requested_by || "—"}</dd>
        <dt>Priority</dt>
        <dd>{operation.priority}</dd>
        <dt>Workflow</dt>
        <dd className="mono">{operation.workflow_id}</dd>
      </dl>
    </section>
  );
}

function lasted(operation: Operation): number | null {
  return operation.duration_seconds === null || operation.duration_seconds === undefined
    ? null
    : operation.duration_seconds * 1_000;
}

function Gone() {
  return (
    <Note tone="warn" title="There is no such operation">
      <p>
        It may belong to another client, or its address is mistyped. <Link to="/">Go to the fleet</Link>
      </p>
    </Note>
  );
}
