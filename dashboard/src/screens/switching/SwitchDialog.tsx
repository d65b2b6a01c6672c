import { useState } from "react";
import { newKey } from "../../api/http";
import { useAsk, usePlan } from "../../api/servers";
import type { Candidate, Plan } from "../../api/types";
import { hourly } from "../../model/money";
import { partsOf } from "../../model/pools";
import { Modal } from "../../ui/Modal";
import { ProblemNote } from "../../ui/ProblemNote";
import { say } from "../../ui/toasts";
import { Pools } from "./Pools";
import { PlanDetails } from "./PlanDetails";
import "./switch.css";

interface Props {
  server: { id: string; name: string };
  onDemandUsd: number | null;
  onClose: () => void;
}

/** The plan before the act. One request with one key, however often confirm is clicked. */
export function SwitchDialog({ server, onDemandUsd, onClose }: Props) {
  const [pool, setPool] = useState("");
  const best = usePlan(server.id, "");
  const chosen = usePlan(server.id, pool);
  const ask = useAsk(server.id);
  const [keys] = useState(() => new Map<string, string>());
  const plan = chosen.data;
  const target = pool || plan?.candidates[0]?.pool || "";

  const choose = (wanted: string) => {
    setPool(wanted);
    ask.reset();
  };
  const confirm = () => {
    if (ask.isPending || !plan?.executable) return;
    const key = keys.get(target) ?? newKey();
    keys.set(target, key); // another pool is another intent; the same one again is the same request
    ask.mutate(
      { ask: "switch", key, pool: target },
      {
        onSuccess: () => {
          say(`${server.name} is switching`, `to ${target}`);
          onClose();
        },
      },
    );
  };
  return (
    <Modal
      title={`Switch ${server.name}`}
      about={about(plan)}
      onClose={onClose}
      foot={<Foot plan={plan} target={target} asking={ask.isPending} onConfirm={confirm} onClose={onClose} />}
    >
      {ask.error && <ProblemNote error={ask.error} doing="Nothing was changed" />}
      <Pools
        candidates={candidatesOf(best.data, plan)}
        loading={best.isPending}
        chosen={target}
        onDemandUsd={onDemandUsd}
        onChoose={choose}
      />
      {chosen.error ? (
        <ProblemNote error={chosen.error} doing="There is no plan for it" />
      ) : (
        <PlanDetails plan={plan} />
      )}
    </Modal>
  );
}

function about(plan: Plan | undefined) {
  if (!plan) return "Looking at every attribute, quota and permission. Nothing is changed.";
  return `From ${plan.from_pool}, ${hourly(plan.hourly_now)}. Nothing is changed before you confirm.`;
}

/** The best plan's ranking, and a pool that was typed in. */
function candidatesOf(best: Plan | undefined, plan: Plan | undefined): Candidate[] {
  const ranked = best?.candidates ?? [];
  const known = new Set(ranked.map((candidate) => candidate.pool));
  return [
    ...ranked,
    ...(plan?.candidates ?? []).filter((candidate) => !known.has(candidate.pool)).slice(0, 1),
  ];
}

interface FootProps {
  plan: Plan | undefined;
  target: string;
  asking: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

function Foot({ plan, target, asking, onConfirm, onClose }: FootProps) {
  const parts = partsOf(target);
  const label = parts ? `Switch to ${parts.type} ${parts.lifecycle} in ${parts.zone}` : "Switch";
  return (
    <>
      <span className="muted">{plan && !plan.executable ? "This plan cannot be carried out." : ""}</span>
      <button type="button" className="button" onClick={onClose}>
        Leave it
      </button>
      <button
        type="button"
        className="button button--primary"
        aria-disabled={!plan?.executable || asking}
        onClick={onConfirm}
      >
        {asking ? "Asking…" : label}
      </button>
    </>
  );
}
