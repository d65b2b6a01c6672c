/** Many tabs, one feed for each identity among them: each tab is told what it has not been told yet. */
import { Feed } from "./feed";
import { keyOf, type Command, type Identity, type Message, type Told } from "./messages";

export interface Line {
  post(message: Told): void;
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
    const of = keyOf(identity);
    if (seq !== null) for (const message of circuit.feed.missedSince(seq)) line.post({ ...message, of });
    line.post({ ...circuit.feed.state, of });
  }

  private connect(identity: Identity): Circuit {
    const of = keyOf(identity);
    const lines = new Set<Line>();
    const feed = this.make(identity, (message) => {
      // Gone before its tabs are told: whoever of them signs in again gets a new one.
      if (message.kind === "state" && message.connection === "signed-out") this.drop(of, feed);
      lines.forEach((line) => line.post({ ...message, of }));
    });
    const circuit = { feed, lines };
    this.circuits.set(of, circuit);
    void feed.run().finally(() => this.drop(of, feed));
    return circuit;
  }

  private drop(key: string, feed: Feed): void {
    if (this.circuits.get(key)?.feed === feed) this.circuits.delete(key);
  }

  private detach(line: Line): void {
    for (const [key, { feed, lines }] of this.circuits) {
      if (!lines.delete(line) || lines.size > 0) continue;
      feed.stop();
      this.circuits.delete(key);
    }
  }

  private signOut(): void {
    const state = {
      kind: "state" as const,
      connection: "signed-out" as const,
      seq: -1,
      since: Date.now(),
      retryAt: 0,
    };
    for (const [of, { feed, lines }] of this.circuits) {
      feed.stop();
      lines.forEach((line) => line.post({ ...state, of }));
    }
    this.circuits.clear();
  }
}
