/** This tab's end of the shared connection; a tab whose browser has no shared workers holds one of its own. */
import type { StreamEvent } from "../api/types";
import { keyOf, type Command, type Identity, type State, type Told } from "./messages";
import { Switchboard, type Line } from "./switchboard";

export interface Listener {
  events: (events: StreamEvent[]) => void;
  reset: () => void;
  signedOut: () => void;
}

type Post = (command: Command) => void;

const NOT_YET: State = { kind: "state", connection: "connecting", seq: -1, since: Date.now(), retryAt: 0 };

export class TabConnection {
  private state: State = NOT_YET;
  private post: Post | null = null;
  private listener: Listener | null = null;
  private identity: Identity | null = null;
  private seq: number | null = null;
  private readonly watchers = new Set<() => void>();

  constructor() {
    addEventListener("pagehide", () => this.post?.({ kind: "detach" }));
    addEventListener("pageshow", (event) => event.persisted && this.attach());
    addEventListener("online", () => this.retry());
  }

  open(identity: Identity, listener: Listener): () => void {
    this.identity = identity;
    this.listener = listener;
    this.seq = null;
    this.state = NOT_YET;
    this.post ??= connect((message) => this.receive(message));
    this.attach();
    return () => this.close();
  }

  /** Nothing more of this identity; the next one's number is not known yet. */
  close(): void {
    this.listener = null;
    this.identity = null;
    this.state = NOT_YET;
    this.post?.({ kind: "detach" });
    this.say();
  }

  retry(): void {
    this.post?.({ kind: "retry" });
  }

  signOut(): void {
    this.post?.({ kind: "sign-out" });
  }

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  readonly snapshot = (): State => this.state;

  private attach(): void {
    if (this.identity) this.post?.({ kind: "attach", identity: this.identity, seq: this.seq });
  }

  private receive(message: Told): void {
    if (!this.identity || message.of !== keyOf(this.identity)) return;
    if (message.kind === "events") {
      this.listener?.events(message.events);
      this.seq = message.events.at(-1)?.seq ?? this.seq;
      this.state = { ...this.state, seq: this.seq ?? this.state.seq };
      this.say();
    } else if (message.kind === "reset") this.listener?.reset();
    else {
      // Known only now, after lists were loaded without it: those may lack what came between.
      const late = this.seq === null && message.seq >= 0 && this.state.connection === "lost";
      this.state = message;
      if (message.seq >= 0) this.seq = message.seq;
      if (late) this.listener?.reset();
      this.say();
      if (message.connection === "signed-out") this.listener?.signedOut();
    }
  }

  private say(): void {
    for (const watcher of this.watchers) watcher();
  }
}

function connect(receive: (message: Told) => void): Post {
  if (typeof SharedWorker === "undefined") {
    const switchboard = new Switchboard();
    const line: Line = { post: receive };
    return (command) => switchboard.handle(line, command);
  }
  const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "spot-events",
  });
  worker.port.onmessage = (event: MessageEvent<Told>) => receive(event.data);
  return (command) => worker.port.postMessage(command);
}

export const connection = new TabConnection();
