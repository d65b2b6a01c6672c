import { useState } from "react";
import { Problem } from "../../api/http";
import { useClient, useClientChange, type Client } from "../../api/settings";
import type { Schemas } from "../../api/types";
import { fieldErrors } from "../../model/fieldErrors";
import { AUTOPILOT, changesOf, LIMITS, NotANumber, toValues, type FieldSpec } from "../../model/policyForm";
import { Loaded } from "../../ui/Loaded";
import { PolicyFields } from "../../ui/PolicyFields";
import { ProblemNote } from "../../ui/ProblemNote";
import { say } from "../../ui/toasts";

/** For a client nothing is above it but the default. */
const OF_CLIENT: FieldSpec[] = AUTOPILOT.map((spec) =>
  spec.choices
    ? {
        ...spec,
        choices: spec.choices.map((one) => (one.value === "" ? { ...one, label: "The default" } : one)),
      }
    : spec,
);

export function Defaults({ clientId }: { clientId: string }) {
  const client = useClient(clientId);
  return (
    <section className="card" aria-labelledby="defaults">
      <header className="card__head">
        <h2 id="defaults">Defaults of the autopilot</h2>
        <span className="muted">for every server that does not say otherwise</span>
      </header>
      <Loaded query={client} height={320} doing="Loading the defaults">
        {(found) => <Form key={JSON.stringify([found.autopilot, found.limits])} client={found} />}
      </Loaded>
    </section>
  );
}

function Form({ client }: { client: Client }) {
  const beforeAuto = toValues(OF_CLIENT, client.autopilot);
  const beforeLimits = toValues(LIMITS, client.limits);
  const [auto, setAuto] = useState(beforeAuto);
  const [limits, setLimits] = useState(beforeLimits);
  const [wrong, setWrong] = useState<NotANumber | null>(null);
  const changing = useClientChange(client.id);
  const errors = wrong
    ? new Map([[wrong.field, wrong.message]])
    : fieldErrors(changing.error instanceof Problem ? changing.error : null);
  const save = () => {
    try {
      const change = {
        autopilot: changesOf(OF_CLIENT, beforeAuto, auto),
        limits: changesOf(LIMITS, beforeLimits, limits),
      };
      setWrong(null);
      changing.mutate(change as Schemas["ClientChange"], { onSuccess: () => say("The defaults are saved") });
    } catch (error) {
      if (!(error instanceof NotANumber)) throw error;
      setWrong(error);
    }
  };
  const same = JSON.stringify([auto, limits]) === JSON.stringify([beforeAuto, beforeLimits]);
  return (
    <form
      className="card__body"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <PolicyFields specs={OF_CLIENT} values={auto} onChange={setAuto} errors={errors} />
      <h3 className="form-part">The fleet as a whole</h3>
      <PolicyFields specs={LIMITS} values={limits} onChange={setLimits} errors={errors} />
      {changing.error && <ProblemNote error={changing.error} doing="Nothing was changed" />}
      <div className="form-foot">
        <button type="submit" className="button button--primary" disabled={same || changing.isPending}>
          {changing.isPending ? "Saving…" : "Save the defaults"}
        </button>
        {!same && <span className="muted">Not saved yet</span>}
      </div>
    </form>
  );
}
