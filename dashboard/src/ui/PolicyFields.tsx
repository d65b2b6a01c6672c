import { useId } from "react";
import type { FieldSpec, Values } from "../model/policyForm";

interface Props {
  specs: FieldSpec[];
  values: Values;
  onChange: (values: Values) => void;
  /** By field: why the API did not take it. */
  errors: Map<string, string>;
}

export function PolicyFields({ specs, values, onChange, errors }: Props) {
  return (
    <div className="form-grid">
      {specs.map((spec) => (
        <Field
          key={spec.name}
          spec={spec}
          value={values[spec.name] ?? ""}
          error={errors.get(spec.name)}
          onChange={(value) => onChange({ ...values, [spec.name]: value })}
        />
      ))}
    </div>
  );
}

interface FieldProps {
  spec: FieldSpec;
  value: string;
  error: string | undefined;
  onChange: (value: string) => void;
}

function Field({ spec, value, error, onChange }: FieldProps) {
  const id = useId();
  const shared = {
    id,
    className: "input",
    value,
    "aria-invalid": !!error,
    "aria-describedby": `${id}-hint`,
    onChange: (event: { target: { value: string } }) => onChange(event.target.value),
  };
  return (
    <div className="field">
      <label htmlFor={id}>{spec.label}</label>
      {spec.choices ? (
        <select {...shared}>
          {spec.choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      ) : (
        <input {...shared} inputMode={spec.kind === "number" ? "decimal" : "text"} spellCheck={false} />
      )}
      <span id={`${id}-hint`} className={error ? "field__error" : "field__hint"}>
        {error ?? spec.hint}
      </span>
    </div>
  );
}
