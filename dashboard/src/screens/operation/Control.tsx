import { CircleStop } from "lucide-react";
import { useCancel } from "../../api/operations";
import type { Operation } from "../../api/types";
import { isCommitted } from "../../model/steps";
import { isRunning } from "../../model/words";
import { complain, say } from "../../ui/toasts";

/** What can still be done about it. After its commit an operation only goes forward. */
export function Control({ operation }: { operation: Operation }) {
  const cancel = useCancel(operation.id);
  if (!isRunning(operation.status)) return null;
  if (isCommitted(operation)) return <p className="muted">Committed: it can only go forward now.</p>;
  const asked = cancel.isPending || cancel.isSuccess;
  return (
    <div className="page__actions">
      <button
        type="button"
        className="button button--danger"
        disabled={asked}
        onClick={() =>
          cancel.mutate(undefined, {
            onSuccess: () => say("It is being cancelled", "What it did so far is undone, in reverse."),
            onError: (error) => complain("It was not cancelled", error),
          })
        }
      >
        <CircleStop aria-hidden />
        {asked ? "Cancelling…" : "Cancel and undo"}
      </button>
    </div>
  );
}
