/** Policies as forms: texts in, only what has changed out. */

export interface FieldSpec {
  name: string;
  label: string;
  hint?: string;
  kind: "number" | "list" | "choice" | "switch";
  choices?: { value: string; label: string }[];
  /** Of numbers: may it be empty, which means null? */
  optional?: boolean;
}

export type Values = Record<string, string>;

const choice = (value: string, label: string) => ({ value, label });

export const HANDOFF: FieldSpec[] = [
  {
    name: "handoff",
    label: "Handoff",
    kind: "choice",
    choices: [
      choice("stateless", "Stateless"),
      choice("volumes", "Volumes move, same zone"),
      choice("snapshot", "Snapshots, any zone"),
    ],
  },
  { name: "instance_types", label: "Instance types", kind: "list", hint: "Empty: what fits its size" },
  { name: "zones", label: "Zones", kind: "list", hint: "Empty: wherever it has a subnet" },
  {
    name: "max_spot_usd_per_hour",
    label: "Most per hour on spot, USD",
    kind: "number",
    optional: true,
    hint: "Empty: no limit",
  },
  {
    name: "retire",
    label: "The old instance",
    kind: "choice",
    choices: [choice("terminate", "is terminated"), choice("keep_replica", "stays as replica")],
  },
  { name: "failover_pools", label: "Pools asked at once in a rescue", kind: "number" },
  { name: "drain_s", label: "Drain, seconds", kind: "number" },
  { name: "cool_down_s", label: "A pool rests, seconds", kind: "number" },
  { name: "launch_timeout_s", label: "Launch limit, seconds", kind: "number" },
];

const inherit = choice("", "As the client says");

/** Of a server: what is left open is the client's word, then the default. */
export const AUTOPILOT: FieldSpec[] = [
  {
    name: "auto_switch",
    label: "Switches by itself",
    kind: "choice",
    choices: [
      inherit,
      choice("off", "Never"),
      choice("propose", "Proposes, you approve"),
      choice("on", "Yes"),
    ],
  },
  {
    name: "approval_needed",
    label: "Ordinary moves",
    kind: "choice",
    choices: [inherit, choice("false", "go ahead"), choice("true", "wait for approval")],
  },
  {
    name: "tolerance",
    label: "An outage is",
    kind: "choice",
    choices: [
      inherit,
      choice("relaxed", "no matter"),
      choice("normal", "a nuisance"),
      choice("strict", "expensive"),
    ],
  },
  {
    name: "replica",
    label: "Warm replica",
    kind: "choice",
    choices: [
      inherit,
      choice("none", "No"),
      choice("on_risk", "When the risk is high"),
      choice("always", "Always"),
    ],
  },
  {
    name: "min_saving",
    label: "Least saving, part of the cost",
    kind: "number",
    optional: true,
    hint: "0.05 is 5%",
  },
  { name: "max_moves_per_week", label: "Most moves a week", kind: "number", optional: true },
  { name: "minimum_stay_h", label: "Least stay, hours", kind: "number", optional: true },
  {
    name: "frozen",
    label: "Frozen",
    kind: "choice",
    choices: [inherit, choice("false", "No"), choice("true", "Yes, nothing moves by itself")],
    hint: "Rescues and your own requests go on",
  },
];

export const LIMITS: FieldSpec[] = [
  {
    name: "most_per_pool",
    label: "Most servers in one pool",
    kind: "number",
    hint: "A part: 0.5 is half of them",
  },
  { name: "most_per_zone", label: "Most servers in one zone", kind: "number", hint: "A part" },
  { name: "least_on_demand", label: "Least share on-demand", kind: "number", hint: "A part" },
  { name: "moves_at_once", label: "Moves at once", kind: "number", hint: "0: no limit of yours" },
];

export function toValues(specs: FieldSpec[], given: Record<string, unknown> | null | undefined): Values {
  return Object.fromEntries(specs.map((spec) => [spec.name, toText(given?.[spec.name])]));
}

function toText(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return "";
}

/** What differs from what was, in the API's form. Throws with the field's name when a number is none. */
export function changesOf(specs: FieldSpec[], before: Values, after: Values): Record<string, unknown> {
  const changed = specs.filter((spec) => (before[spec.name] ?? "") !== (after[spec.name] ?? ""));
  return Object.fromEntries(changed.map((spec) => [spec.name, parse(spec, (after[spec.name] ?? "").trim())]));
}

function parse(spec: FieldSpec, text: string): unknown {
  if (spec.kind === "list") return text.split(/[\s,]+/).filter(Boolean);
  if (spec.kind === "number") {
    if (text === "" && spec.optional) return null;
    const number = Number(text);
    if (text === "" || !Number.isFinite(number)) throw new NotANumber(spec);
    return number;
  }
  if (text === "") return null;
  return text === "true" ? true : text === "false" ? false : text;
}

export class NotANumber extends Error {
  readonly field: string;
  constructor(spec: FieldSpec) {
    super(`${spec.label}: write a number`);
    this.field = spec.name;
  }
}
