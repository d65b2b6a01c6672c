import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Feed } from "./feed";
import type { Identity, Message } from "./messages";
import { Switchboard, type Line } from "./switchboard";

const ME: Identity = { client: "cli-1", session: "tok-1", acting: false };

/** An API of a few lines: connections that a test writes to and breaks. */
class FakeApi {
  latest = 5;
  status = 200;
  silent = false;
  asked: { path: string; headers: Record<string, string> }[] = [];
  private open: ReadableStreamDefaultController<Uint8Array> | null = null;

  fetch = (path: string, init: RequestInit): Promise<Response> => {
    this.asked.push({ path, headers: init.headers as Record<string, string> });
    if (this.silent) return unlessAborted(init.signal);
    if (this.status !== 200) return Promise.resolve(new Response("{}", { status: this.status }));
    if (!path.includes("stream")) return Promise.resolve(Response.json({ latest_seq: this.latest }));
    init.signal?.addEventListener("abort", () => this.cut());
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.open = controller) });
    return Promise.resolve(new Response(body));
  };

  say(seq: number, type = "operation.step"): void {
    const data = JSON.stringify({ seq, type, at: "", payload: {} });
    this.open?.enqueue(new TextEncoder().encode(`id: ${seq}\nevent: ${type}\ndata: ${data}\n\n`));
  }

  raw(text: string): void {
    this.open?.enqueue(new TextEncoder().encode(text));
  }

  cut(): void {
    this.open?.error(new Error("cut"));
  }
}

const unlessAborted = (signal: AbortSignal | null | undefined): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));

const seqsOf = (told: Message[]): number[] =>
  told.flatMap((message) => (message.kind === "events" ? message.events.map((event) => event.seq) : []));
const settle = () => vi.advanceTimersByTimeAsync(50);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function feedOf(api: FakeApi): { feed: Feed; told: Message[] } {
  const told: Message[] = [];
  const feed = new Feed(ME, (message) => told.push(message), api.fetch as typeof fetch);
  void feed.run();
  return { feed, told };
}

describe("the feed", () => {
  it("begins after the latest event, and resumes after the last that it was given", async () => {
    const api = new FakeApi();
    const { feed, told } = feedOf(api);
    await settle();
    api.say(6);
    api.say(7);
    await settle();
    api.cut();
    await settle();
    expect(feed.state.connection).toBe("lost");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(feed.state.connection).toBe("live");
    expect(
      api.asked.filter((one) => one.path.includes("stream")).map((one) => one.headers["Last-Event-ID"]),
    ).toEqual(["5", "7"]);
    api.say(7); // again
    api.say(8);
    await settle();
    expect(seqsOf(told)).toEqual([6, 7, 8]);
    feed.stop();
  });

  it("tells of events that have expired, and goes on from what there is", async () => {
    const api = new FakeApi();
    const { feed, told } = feedOf(api);
    await settle();
    api.raw('id: 90\nevent: reset\ndata: {"oldest": 91}\n\n');
    api.say(91);
    await settle();
    expect(told.map((message) => message.kind)).toContain("reset");
    expect(seqsOf(told)).toEqual([91]);
    feed.stop();
  });

  it("takes a connection that says nothing for lost", async () => {
    const { feed } = feedOf(new FakeApi());
    await settle();
    expect(feed.state.connection).toBe("live");
    await vi.advanceTimersByTimeAsync(34_000);
    expect(feed.state.connection).toBe("live");
    await vi.advanceTimersByTimeAsync(1_100);
    expect(feed.state.connection).not.toBe("live");
    feed.stop();
  });

  it("asks again when no answer begins", async () => {
    const api = new FakeApi();
    api.silent = true;
    const { feed } = feedOf(api);
    await vi.advanceTimersByTimeAsync(7_900);
    expect(api.asked).toHaveLength(1);
    api.silent = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(feed.state.connection).toBe("live");
    feed.stop();
  });

  it("asks at once when told to, also while an answer is awaited; a stream that runs is left alone", async () => {
    const api = new FakeApi();
    api.silent = true;
    const { feed } = feedOf(api);
    await settle();
    api.silent = false;
    feed.retry();
    await settle();
    expect(feed.state.connection).toBe("live");
    const asked = api.asked.length;
    feed.retry();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(api.asked).toHaveLength(asked);
    expect(feed.state.connection).toBe("live");
    feed.stop();
  });

  it("does not knock again when it was shown the door", async () => {
    const api = new FakeApi();
    api.status = 401;
    const { feed } = feedOf(api);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(feed.state.connection).toBe("signed-out");
    expect(api.asked).toHaveLength(1);
  });
});

describe("tabs that share it", () => {
  class Tab implements Line {
    told: Message[] = [];
    post = (message: Message) => void this.told.push(message);
  }

  it("hold one connection, and a tab that comes back misses nothing", async () => {
    const api = new FakeApi();
    const board = new Switchboard((identity, tell) => new Feed(identity, tell, api.fetch as typeof fetch));
    const [one, other] = [new Tab(), new Tab()];
    board.handle(one, { kind: "attach", identity: ME, seq: null });
    board.handle(other, { kind: "attach", identity: ME, seq: null });
    await settle();
    expect(api.asked.filter((asked) => asked.path.includes("stream"))).toHaveLength(1);
    api.say(6);
    await settle();
    board.handle(other, { kind: "detach" });
    api.say(7);
    api.say(8);
    await settle();
    board.handle(other, { kind: "attach", identity: ME, seq: 6 });
    api.say(9);
    await settle();
    expect(seqsOf(one.told)).toEqual([6, 7, 8, 9]);
    expect(seqsOf(other.told)).toEqual([6, 7, 8, 9]);
    board.handle(one, { kind: "sign-out" });
    expect(other.told.at(-1)).toMatchObject({ connection: "signed-out" });
  });

  it("get a new connection after a sign-in, though a tab that was thrown away still holds the old one", async () => {
    const api = new FakeApi();
    const board = new Switchboard((identity, tell) => new Feed(identity, tell, api.fetch as typeof fetch));
    const [gone, back] = [new Tab(), new Tab()];
    gone.post = (message) => {
      if (message.kind !== "state" || message.connection !== "signed-out") return;
      api.status = 200;
      board.handle(back, { kind: "attach", identity: ME, seq: null });
    };
    api.status = 401;
    board.handle(gone, { kind: "attach", identity: ME, seq: null });
    await settle();
    expect(back.told.map((message) => message.kind === "state" && message.connection)).toEqual([
      "connecting",
      "live",
    ]);
    board.handle(back, { kind: "sign-out" });
  });

  it("are not told of what is another client's", async () => {
    const apis = new Map<string, FakeApi>();
    const board = new Switchboard((identity, tell) => {
      const api = new FakeApi();
      apis.set(identity.client, api);
      return new Feed(identity, tell, api.fetch as typeof fetch);
    });
    const [mine, theirs] = [new Tab(), new Tab()];
    board.handle(mine, { kind: "attach", identity: { ...ME, acting: true }, seq: null });
    board.handle(theirs, { kind: "attach", identity: { ...ME, client: "cli-2", acting: true }, seq: null });
    await settle();
    apis.get("cli-2")?.say(6);
    await settle();
    expect(seqsOf(mine.told)).toEqual([]);
    expect(seqsOf(theirs.told)).toEqual([6]);
    expect(apis.get("cli-2")?.asked[0]?.headers["X-Spot-Client"]).toBe("cli-2");
    board.handle(mine, { kind: "sign-out" });
  });
});
