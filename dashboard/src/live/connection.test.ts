import { beforeEach, describe, expect, it, vi } from "vitest";
import { event } from "../testing/make";
import { TabConnection } from "./connection";
import { keyOf, type Command, type Identity, type Message } from "./messages";

const OURS: Identity = { client: "cli-1", session: "tok-1", acting: true };
const THEIRS: Identity = { ...OURS, client: "cli-2" };

/** The worker's end, in a test's hands. */
class Port {
  static latest: Port;
  onmessage: (message: { data: unknown }) => void = () => undefined;
  heard: Command[] = [];
  readonly port = this;

  constructor() {
    Port.latest = this;
  }
  postMessage(command: Command): void {
    this.heard.push(command);
  }
  say(identity: Identity, message: Message): void {
    this.onmessage({ data: { ...message, of: keyOf(identity) } });
  }
}

const live = (seq: number): Message => ({ kind: "state", connection: "live", seq, since: 0, retryAt: 0 });

beforeEach(() => void vi.stubGlobal("SharedWorker", Port));

describe("a tab's end of the connection", () => {
  it("takes nothing of the client that it has left, though it comes late", () => {
    const connection = new TabConnection();
    const listener = { events: vi.fn(), reset: vi.fn(), signedOut: vi.fn() };
    connection.open(OURS, listener);
    Port.latest.say(OURS, live(900));
    expect(connection.snapshot().seq).toBe(900);

    connection.close();
    expect(connection.snapshot()).toMatchObject({ connection: "connecting", seq: -1 });
    connection.open(THEIRS, listener);
    Port.latest.say(OURS, { kind: "events", events: [event("server.ended")] });
    Port.latest.say(OURS, { kind: "reset" });
    Port.latest.say(OURS, live(901));
    expect(listener.events).not.toHaveBeenCalled();
    expect(listener.reset).not.toHaveBeenCalled();
    expect(connection.snapshot().seq).toBe(-1);

    Port.latest.say(THEIRS, live(5));
    const theirs = [event("server.ended")];
    Port.latest.say(THEIRS, { kind: "events", events: theirs });
    expect(listener.events).toHaveBeenCalledExactlyOnceWith(theirs);
  });
});
