/** Names for the API's documents; their shapes are generated from its OpenAPI document (`npm run types`). */
import type { components } from "./schema";

export type Schemas = components["schemas"];
export type Server = Schemas["ServerView"];
export type Instance = Schemas["InstanceView"];
export type OperationSummary = Schemas["OperationSummary"];
export type Operation = Schemas["OperationView"];
/** `position`: as its event gave it, from 1; the API's own steps stand at their positions, without a gap. */
export type Step = Schemas["StepView"] & { position?: number };
export type Accepted = Schemas["AcceptedView"];
export type Plan = Schemas["PlanView"];
export type Move = Schemas["MoveView"];
export type Candidate = Schemas["CandidateView"];
export type Decision = Schemas["DecisionSummary"];
export type StreamEvent = Schemas["EventView"];
export type Money = Schemas["MoneyView"];
export type ServerSavings = Schemas["ServerSavingsView"];
export type WebhookView = Schemas["WebhookView"];
export type DeliveryView = Schemas["DeliveryView"];
