/** One connection to the event stream: in order, resumed with Last-Event-ID, without a miss. */
import type { StreamEvent } from "../api/types";
import type { Connection, Identity, Message, State } from "./messages";
import { SseParser, type Frame } from "./sse";

/** The API comments every 15 s; a connection that says nothing for longer is gone without a word. */
const SILENCE_MS = 35_000;
/** An answer begins within this, or the request went into a hole: a sleeping laptop's old connection. */
const HEADERS_MS = 8_000;
const FIRST_RETRY_MS = 300;
const LAST_RETRY_MS = 5_000;
const REMEMBERED = 1_000;

export class Feed {
  readonly identity: Identity;
  private readonly tell: (message: Message) => void;
  private readonly fetch: typeof fetch;
  private abort = new AbortController();
  private connection: Connection = "connecting";
  private since = Date.now();
  private retryAt = 0;
  private seq = -1;
  private failures = 0;
  private recent: StreamEvent[] = [];
  private wake: () => void = () => undefined;
  private stopped = false;
  private unanswered = false;
  private hurried = false;

  constructor(
    identity: Identity,
    tell: (message: Message) => void,
    fetcher: typeof fetch = (...all) => fetch(...all),
  ) {
    this.identity = identity;
    this.tell = tell;
    this.fetch = fetcher;
  }

  get state(): State {
    return {
      kind: "state",
      connection: this.connection,
      seq: this.seq,
      since: this.since,
      retryAt: this.retryAt,
    };
  }

  /** What a tab that has everything up to `seq` has missed. */
  missedSince(seq: number): Message[] {
    if (seq >= this.seq) return [];
    const oldest = this.recent[0]?.seq ?? this.seq + 1;
    if (oldest > seq + 1) return [{ kind: "reset" }];
    return [{ kind: "events", events: this.recent.filter((event) => event.seq > seq) }];
  }

  async run(): Promise<void> {
    while (!this.stopped) {
      try {
        if (this.seq < 0) this.seq = await this.latest();
        await this.read();
      } catch (error) {
        if (error instanceof SignedOut) return this.change("signed-out");
      }
      if (!this.stopped) await this.pause();
    }
  }

  /** Try again now, not when the pause is over, nor when it is clear that the last request was lost. */
  retry(): void {
    this.wake();
    if (!this.unanswered) return;
    this.hurried = true;
    this.abort.abort();
  }

  stop(): void {
    this.stopped = true;
    this.abort.abort();
    this.wake();
  }

  /** Lists that are loaded after this number is known hold everything up to it. */
  private async latest(): Promise<number> {
    const answer = await this.ask("/api/events?limit=1");
    const page = (await this.within(HEADERS_MS, answer.json())) as { latest_seq: number };
    return page.latest_seq;
  }

  private async read(): Promise<void> {
    const answer = await this.ask("/api/events/stream", { "Last-Event-ID": String(this.seq) });
    if (!answer.body) throw new Error("a stream without a body");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new SseParser();
    this.failures = 0;
    this.change("live");
    for (;;) {
      const { value, done } = await this.within(SILENCE_MS, reader.read());
      if (done) return;
      this.take(parser.push(value));
    }
  }

  private async ask(path: string, more: Record<string, string> = {}): Promise<Response> {
    this.abort = new AbortController();
    const headers = this.identity.acting ? { ...more, "X-Spot-Client": this.identity.client } : more;
    const answer = await this.answered(path, { headers, signal: this.abort.signal, cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) throw new SignedOut();
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer;
  }

  private async answered(path: string, init: RequestInit): Promise<Response> {
    this.unanswered = true;
    try {
      return await this.within(HEADERS_MS, this.fetch(path, init));
    } finally {
      this.unanswered = false;
    }
  }

  private async within<T>(ms: number, promise: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.abort.abort(), ms);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  private take(frames: Frame[]): void {
    const reset = frames.findLast((frame) => frame.event === "reset");
    if (reset) {
      this.seq = Number(reset.id);
      this.recent = [];
      this.tell({ kind: "reset" });
    }
    const events = frames
      .filter((frame) => frame.event !== "reset" && frame.data)
      .map((frame) => JSON.parse(frame.data) as StreamEvent)
      .filter((event) => event.seq > this.seq);
    const last = events.at(-1);
    if (!last) return;
    this.seq = last.seq;
    this.recent = [...this.recent, ...events].slice(-REMEMBERED);
    this.tell({ kind: "events", events });
  }

  private async pause(): Promise<void> {
    if (this.hurried) {
      this.hurried = false;
      return;
    }
    this.failures += 1;
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.failures - 1));
    this.retryAt = Date.now() + wait;
    this.change("lost");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private change(connection: Connection): void {
    if (connection !== this.connection) this.since = Date.now();
    this.connection = connection;
    this.tell(this.state);
  }
}

class SignedOut extends Error {}
