/** The latest events of this tab, newest first, for whoever shows them. */
import type { StreamEvent } from "../api/types";

const KEPT = 2_000;

class Tape {
  private events: StreamEvent[] = [];
  private readonly watchers = new Set<() => void>();

  add(events: StreamEvent[]): void {
    this.events = [...events.toReversed(), ...this.events].slice(0, KEPT);
    this.watchers.forEach((watcher) => watcher());
  }

  /** The number of the newest; 0 while there is none. */
  get newest(): number {
    return this.events[0]?.seq ?? 0;
  }

  /** Those after this number, oldest first. */
  after(seq: number): StreamEvent[] {
    return this.events.filter((event) => event.seq > seq).toReversed();
  }

  clear(): void {
    this.events = [];
    this.watchers.forEach((watcher) => watcher());
  }

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  readonly snapshot = (): StreamEvent[] => this.events;
}

export const tape = new Tape();
