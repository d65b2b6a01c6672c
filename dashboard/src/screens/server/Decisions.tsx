import { Check, X } from "lucide-react";
import { useDecisionsOf, useSettle } from "../../api/operations";
import type { Decision } from "../../api/types";
import { decisionBadge, sentence } from "../../model/words";
import { Ago } from "../../ui/Elapsed";
import { PoolName } from "../../ui/PoolName";
import { complain, say } from "../../ui/toasts";

/** What the autopilot proposes and waits to be told. */
export function Decisions({ serverId }: { serverId: string }) {
  const decisions = useDecisionsOf(serverId);
  const waiting = decisions.data?.items.filter((decision) => decision.state === "proposed") ?? [];
  return waiting.map((decision) => <Waiting key={decision.id} decision={decision} />);
}

function Waiting({ decision }: { decision: Decision }) {
  const settle = useSettle(decision.id);
  const answer = (word: "approve" | "reject") =>
    settle.mutate(word, {
      onSuccess: () => say(word === "approve" ? "Approved" : "Rejected", sentence(decision.kind)),
      onError: (error) => complain(`It was not ${word === "approve" ? "approved" : "rejected"}`, error),
    });
  return (
    <section className="card decision" aria-label="A decision waits">
      <div className="card__body decision__body">
        <div>
          <h2>The autopilot would {sentence(decision.kind).toLowerCase()} it</h2>
          <p className="muted">
            {sentence(decision.reason)} · {decisionBadge(decision.state).label.toLowerCase()} since{" "}
            <Ago at={decision.at} />
          </p>
        </div>
        <PoolName pool={decision.to_pool || decision.from_pool} />
        <div className="page__actions">
          <button
            type="button"
            className="button"
            disabled={settle.isPending}
            onClick={() => answer("reject")}
          >
            <X aria-hidden /> Reject
          </button>
          <button
            type="button"
            className="button button--primary"
            disabled={settle.isPending}
            onClick={() => answer("approve")}
          >
            <Check aria-hidden /> Approve
          </button>
        </div>
      </div>
    </section>
  );
}
