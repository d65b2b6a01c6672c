/** An event in words. */
import type { StreamEvent } from "../api/types";
import { hourly } from "./money";
import { duration } from "./time";
import { instanceBadge, kindName, sentence, statusBadge, type Tone } from "./words";

export interface Told {
  title: string;
  detail: string;
  tone: Tone;
}

export function tell(event: StreamEvent): Told {
  const [family = "", what = ""] = event.type.split(".", 2);
  if (family === "operation") return operation(event, what);
  if (family === "instance") return instance(event, what);
  if (family === "notice") return notice(event, what);
  if (family === "decision") return decision(event, what);
  const plain = PLAIN[event.type];
  if (plain) return { title: plain, detail: details(event), tone: "idle" };
  return {
    title: `${sentence(family)} ${what.replaceAll("_", " ")}`.trim(),
    detail: details(event),
    tone: "idle",
  };
}

const PLAIN: Record<string, string> = {
  "server.adopted": "Server adopted",
  "server.policy": "Policy changed",
  "server.ended": "Server ended",
  "server.resumed": "Server resumed",
  "pool.cool_down": "Pool rests",
  "agent.registered": "Agent registered",
  "agent.silent": "Agent fell silent",
  "agent.back": "Agent is back",
  "client.policy": "Defaults changed",
  "token.created": "Token made",
  "token.revoked": "Token revoked",
  "resource.intended": "Resource about to be made",
  "resource.made": "Resource made",
  "resource.adopted": "Resource adopted",
  "resource.gone": "Resource gone",
};

function operation(event: StreamEvent, what: string): Told {
  const { payload } = event;
  const kind = kindName(text(payload.kind) || "operation");
  if (what === "step") {
    const step = sentence(text(payload.step));
    if (payload.state === "started") return { title: `${step} begins`, detail: "", tone: "busy" };
    const took = typeof payload.ms === "number" ? duration(payload.ms) : "";
    const ok = payload.ok !== false;
    return {
      title: `${step} ${ok ? "done" : "failed"}`,
      detail: took || text(payload.note),
      tone: ok ? "idle" : "bad",
    };
  }
  if (what === "queued")
    return { title: `${kind} asked for`, detail: text(payload.pool) || by(payload), tone: "busy" };
  if (what === "running") return { title: `${kind} begins`, detail: text(payload.from_pool), tone: "busy" };
  if (what === "attention")
    return { title: `${kind} needs a person`, detail: text(payload.reason), tone: "bad" };
  const badge = statusBadge(what);
  const outage =
    typeof payload.control_outage_ms === "number" ? `, out for ${duration(payload.control_outage_ms)}` : "";
  const detail = what === "committed" ? text(payload.to_pool) + outage : text(payload.reason);
  return { title: `${kind} ${badge.label.toLowerCase()}`, detail, tone: badge.tone };
}

function instance(event: StreamEvent, what: string): Told {
  const { payload } = event;
  const badge = instanceBadge(text(payload.state) || what);
  const price = typeof payload.usd_per_hour === "number" ? hourly(payload.usd_per_hour) : "";
  const title = what === "changed" ? "Instance changed" : `Instance ${badge.label.toLowerCase()}`;
  return { title, detail: [text(payload.pool), price].filter(Boolean).join(", "), tone: badge.tone };
}

function notice(event: StreamEvent, what: string): Told {
  if (what === "handled")
    return { title: "Notice handled", detail: text(event.payload.handled), tone: "good" };
  const title = what === "interruption" ? "AWS will interrupt the instance" : "AWS recommends a move";
  return { title, detail: `heard from ${text(event.payload.source)}`, tone: "warn" };
}

function decision(event: StreamEvent, what: string): Told {
  const { payload } = event;
  const tone: Tone = what === "proposed" ? "warn" : what === "failed" ? "bad" : "idle";
  const title = `Decision ${what}: ${text(payload.kind).replaceAll("_", " ")}`;
  return { title, detail: text(payload.to_pool) || text(payload.why), tone };
}

function details(event: StreamEvent): string {
  const { payload } = event;
  const named = ["name", "pool", "handoff", "type", "resource_id", "how", "label", "reason"];
  return named
    .map((key) => text(payload[key]))
    .filter(Boolean)
    .join(", ");
}

const by = (payload: StreamEvent["payload"]): string =>
  payload.requested_by ? `by ${text(payload.requested_by)}` : "";
const text = (value: unknown): string => (typeof value === "string" ? value : "");
