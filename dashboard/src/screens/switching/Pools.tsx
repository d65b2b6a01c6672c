import { useId, useState } from "react";
import { usePools } from "../../api/market";
import type { Candidate } from "../../api/types";
import type { PoolFacts } from "../../model/heat";
import { levelOf, often } from "../../model/risk";
import { Risk } from "../../ui/Risk";
import { againstOnDemand, below, price } from "../../model/money";
import { partsOf, problemWithPool } from "../../model/pools";
import { PoolName } from "../../ui/PoolName";
import { Skeleton } from "../../ui/Skeleton";

interface Props {
  candidates: Candidate[];
  loading: boolean;
  chosen: string;
  /** Of the type the server came with: what its plan compares with too. */
  onDemandUsd: number | null;
  onChoose: (pool: string) => void;
}

const SHOWN = 6;

/** Ranked as they would be tried; another choice is planned anew. */
export function Pools({ candidates, loading, chosen, onDemandUsd, onChoose }: Props) {
  const [all, setAll] = useState(false);
  const known = usePools().data;
  const shown = all ? candidates : candidates.slice(0, SHOWN);
  return (
    <fieldset className="pools">
      <legend>Where to</legend>
      {loading && <Skeleton height={200} />}
      {shown.map((candidate, index) => (
        <PoolChoice
          key={candidate.pool}
          candidate={candidate}
          rank={index + 1}
          chosen={candidate.pool === chosen}
          onDemandUsd={onDemandUsd}
          facts={known?.find((pool) => pool.id === candidate.pool)}
          onChoose={onChoose}
        />
      ))}
      {!all && candidates.length > SHOWN && (
        <button type="button" className="button button--plain" onClick={() => setAll(true)}>
          Show {candidates.length - SHOWN} more
        </button>
      )}
      {!loading && <OtherPool onChoose={onChoose} />}
    </fieldset>
  );
}

interface ChoiceProps {
  candidate: Candidate;
  rank: number;
  chosen: boolean;
  onDemandUsd: number | null;
  facts: PoolFacts | undefined;
  onChoose: (pool: string) => void;
}

function PoolChoice({ candidate, rank, chosen, onDemandUsd, facts, onChoose }: ChoiceProps) {
  const part = below(candidate.usd_per_hour, onDemandUsd);
  return (
    <label className="choice" data-chosen={chosen || undefined}>
      <input
        type="radio"
        name="pool"
        value={candidate.pool}
        checked={chosen}
        onChange={() => onChoose(candidate.pool)}
      />
      <span className="choice__rank">{rank}</span>
      <span className="choice__pool">
        <PoolName pool={candidate.pool} />
        <small className="muted">{candidate.reason}</small>
      </span>
      <span className="choice__risk">
        <RiskWords candidate={candidate} facts={facts} />
      </span>
      <span className="choice__price">
        <b>{price(candidate.usd_per_hour)}</b>
        <small className={part && part > 0.005 ? "tone-good" : "muted"}>{againstOnDemand(part)}</small>
      </span>
    </label>
  );
}

/** On-demand capacity is not interrupted; of spot, what is expected, and what AWS scores. */
function RiskWords({ candidate, facts }: { candidate: Candidate; facts: PoolFacts | undefined }) {
  const spot = partsOf(candidate.pool)?.lifecycle === "spot";
  const month = spot ? facts?.lossesPerMonth : 0;
  const score = candidate.placement_score;
  return (
    <>
      <Risk level={spot ? levelOf(month) : "low"} />
      <small className="muted">
        {spot ? (score === null ? often(month) : `${often(month)}, score ${score}`) : "never interrupted"}
      </small>
    </>
  );
}

function OtherPool({ onChoose }: { onChoose: (pool: string) => void }) {
  const id = useId();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const plan = () => {
    const found = problemWithPool(text);
    setProblem(found);
    if (!found) onChoose(text.trim());
  };
  return (
    <div className="field other">
      <label htmlFor={id}>Another pool</label>
      <div className="other__row">
        <input
          id={id}
          className="input mono"
          placeholder="us-east-1a/m5.large/spot"
          value={text}
          aria-invalid={!!problem}
          aria-describedby={problem ? `${id}-problem` : undefined}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => event.key === "Enter" && plan()}
        />
        <button type="button" className="button" onClick={plan} disabled={!text.trim()}>
          Plan it
        </button>
      </div>
      {problem && (
        <p className="field__error" id={`${id}-problem`} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}
