/** Many tabs, one feed for each identity among them: each tab is told what it has not been told yet. */
import { Feed } from "./feed";
import type { Command, Identity, Message } from "./messages";

export interface Line {
  post(message: Message): void;
}

interface Circuit {
  feed: Feed;
  lines: Set<Line>;
}

type MakeFeed = (identity: Identity, tell: (message: Message) => void) => Feed;

export class Switchboard {
  private readonly circuits = new Map<string, Circuit>();
  private readonly make: MakeFeed;

  constructor(make: MakeFeed = (identity, tell) => new Feed(identity, tell)) {
    this.make = make;
  }

  handle(line: Line, command: Command): void {
    if (command.kind === "attach") this.attach(line, command.identity, command.seq);
    else if (command.kind === "detach") this.detach(line);
    else if (command.kind === "retry") for (const { feed } of this.circuits.values()) feed.retry();
    else this.signOut();
  }

  private attach(line: Line, identity: Identity, seq: number | null): void {
    const circuit = this.circuits.get(keyOf(identity)) ?? this.connect(identity);
    if (!circuit.lines.has(line)) this.detach(line);
    circuit.lines.add(line);
    if (seq !== null) for (const message of circuit.feed.missedSince(seq)) line.post(message);
    line.post(circuit.feed.state);
  }

  private connect(identity: Identity): Circuit {
    const lines = new Set<Line>();
    const feed = this.make(identity, (message) => lines.forEach((line) => line.post(message)));
    const circuit = { feed, lines };
    this.circuits.set(keyOf(identity), circuit);
    void feed.run();
    return circuit;
  }

  private detach(line: Line): void {
    for (const [key, { feed, lines }] of this.circuits) {
      if (!lines.delete(line) || lines.size > 0) continue;
      feed.stop();
      this.circuits.delete(key);
    }
  }

  private signOut(): void {
    const state: Message = {
      kind: "state",
      connection: "signed-out",
      seq: -1,
      since: Date.now(),
      retryAt: 0,
    };
    for (const { feed, lines } of this.circuits.values()) {
      feed.stop();
      lines.forEach((line) => line.post(state));
    }
    this.circuits.clear();
  }
}

function keyOf(identity: Identity): string {
  return JSON.stringify([identity.client, identity.session, identity.acting]);
}
