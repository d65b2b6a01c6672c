import { Pencil } from "lucide-react";
import { useState } from "react";
import { Problem } from "../../api/http";
import { usePolicyChange } from "../../api/servers";
import type { Server } from "../../api/types";
import { fieldErrors } from "../../model/fieldErrors";
import { AUTOPILOT, changesOf, HANDOFF, NotANumber, toValues, type FieldSpec } from "../../model/policyForm";
import { Modal } from "../../ui/Modal";
import { PolicyFields } from "../../ui/PolicyFields";
import { ProblemNote } from "../../ui/ProblemNote";
import { say } from "../../ui/toasts";

export function Policy({ server }: { server: Server }) {
  const [editing, setEditing] = useState(false);
  const autopilot = server.policy.autopilot as Record<string, unknown> | undefined;
  return (
    <section className="card" aria-labelledby="policy">
      <header className="card__head">
        <h2 id="policy">Policy</h2>
        {server.state !== "ended" && (
          <button type="button" className="button" onClick={() => setEditing(true)}>
            <Pencil aria-hidden /> Change
          </button>
        )}
      </header>
      <dl className="facts card__body policy-facts">
        <Shown specs={AUTOPILOT.slice(0, 4)} given={autopilot} />
        <Shown specs={HANDOFF} given={server.policy} />
      </dl>
      {editing && <Form server={server} onClose={() => setEditing(false)} />}
    </section>
  );
}

function Shown({ specs, given }: { specs: FieldSpec[]; given: Record<string, unknown> | undefined }) {
  const values = toValues(specs, given);
  return specs.map((spec) => {
    const value = values[spec.name] ?? "";
    const words = spec.choices?.find((choice) => choice.value === value)?.label ?? value;
    return (
      <div key={spec.name} className="facts__pair">
        <dt>{spec.label}</dt>
        <dd>{words || <span className="muted">{spec.hint ?? "—"}</span>}</dd>
      </div>
    );
  });
}

function Form({ server, onClose }: { server: Server; onClose: () => void }) {
  const given = server.policy.autopilot as Record<string, unknown> | undefined;
  const [before] = useState(() => toValues(HANDOFF, server.policy));
  const [beforeAuto] = useState(() => toValues(AUTOPILOT, given));
  const [values, setValues] = useState(before);
  const [auto, setAuto] = useState(beforeAuto);
  const [wrong, setWrong] = useState<NotANumber | null>(null);
  const changing = usePolicyChange(server.id);
  const errors = wrong
    ? new Map([[wrong.field, wrong.message]])
    : fieldErrors(changing.error instanceof Problem ? changing.error : null);
  const save = () => {
    try {
      const autopilot = changesOf(AUTOPILOT, beforeAuto, auto);
      const policy = changesOf(HANDOFF, before, values);
      if (Object.keys(autopilot).length) policy.autopilot = autopilot;
      setWrong(null);
      if (Object.keys(policy).length === 0) return onClose();
      changing.mutate(policy, {
        onSuccess: () => {
          say("The policy is changed", "It holds from the next operation on.");
          onClose();
        },
      });
    } catch (error) {
      if (!(error instanceof NotANumber)) throw error;
      setWrong(error);
    }
  };
  return (
    <Modal
      title={`Policy of ${server.name}`}
      about="What its owner allows. It holds from the next operation on."
      onClose={onClose}
      foot={
        <>
          <span />
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
          <button
            type="button"
            className="button button--primary"
            disabled={changing.isPending}
            onClick={save}
          >
            {changing.isPending ? "Saving…" : "Save"}
          </button>
        </>
      }
    >
      {changing.error && <ProblemNote error={changing.error} doing="Nothing was changed" />}
      <h3>Autopilot</h3>
      <PolicyFields specs={AUTOPILOT} values={auto} onChange={setAuto} errors={errors} />
      <h3>How it may be moved</h3>
      <PolicyFields specs={HANDOFF} values={values} onChange={setValues} errors={errors} />
    </Modal>
  );
}
