/** This tab's end of the shared connection; a tab whose browser has no shared workers holds one of its own. */
import type { StreamEvent } from "../api/types";
import type { Command, Identity, Message, State } from "./messages";
import { Switchboard, type Line } from "./switchboard";

export interface Listener {
  events: (events: StreamEvent[]) => void;
  reset: () => void;
  signedOut: () => void;
}

type Post = (command: Command) => void;

const NOT_YET: State = { kind: "state", connection: "connecting", seq: -1, since: Date.now(), retryAt: 0 };

class TabConnection {
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
    return () => {
      this.listener = null;
      this.identity = null;
      this.post?.({ kind: "detach" });
    };
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

  private receive(message: Message): void {
    if (message.kind === "events") {
      this.listener?.events(message.events);
      this.seq = message.events.at(-1)?.seq ?? this.seq;
      this.state = { ...this.state, seq: this.seq ?? this.state.seq };
      for (const watcher of this.watchers) watcher();
    } else if (message.kind === "reset") this.listener?.reset();
    else {
      // Known only now, after lists were loaded without it: those may lack what came between.
      const late = this.seq === null && message.seq >= 0 && this.state.connection === "lost";
      this.state = message;
      if (message.seq >= 0) this.seq = message.seq;
      if (late) this.listener?.reset();
      for (const watcher of this.watchers) watcher();
      if (message.connection === "signed-out") this.listener?.signedOut();
    }
  }
}

function connect(receive: (message: Message) => void): Post {
  if (typeof SharedWorker === "undefined") {
    const switchboard = new Switchboard();
    const line: Line = { post: receive };
    return (command) => switchboard.handle(line, command);
  }
  const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "spot-events",
  });
  worker.port.onmessage = (event: MessageEvent<Message>) => receive(event.data);
  return (command) => worker.port.postMessage(command);
}

export const connection = new TabConnection();
