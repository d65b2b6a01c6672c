/** What tabs and the one connection that they share say to each other. */
import type { StreamEvent } from "../api/types";

export type Connection = "connecting" | "live" | "lost" | "signed-out";

/** `seq`: the last event that every reader has been given. `retryAt`: when the next try begins, epoch ms. */
export interface State {
  kind: "state";
  connection: Connection;
  seq: number;
  since: number;
  retryAt: number;
}

export interface Events {
  kind: "events";
  events: StreamEvent[];
}

/** Events have been missed for good (they expired): whatever was loaded has to be loaded again. */
export interface Reset {
  kind: "reset";
}

export type Message = State | Events | Reset;

/** `of`: whose it is. A tab that has gone over to another client still gets what was on its way to it. */
export type Told = Message & { of: string };

/** Whose stream: another identity means another connection. */
export interface Identity {
  client: string;
  session: string;
  /** Whether the client has to be named, since an admin acts for it. */
  acting: boolean;
}

export function keyOf(identity: Identity): string {
  return JSON.stringify([identity.client, identity.session, identity.acting]);
}

export type Command =
  | { kind: "attach"; identity: Identity; seq: number | null }
  | { kind: "retry" }
  | { kind: "detach" }
  | { kind: "sign-out" };
