import { ago, elapsed, instant, millis } from "../model/time";
import { useNow } from "./now";

/** How long since; ticks. */
export function Elapsed({ since }: { since: string }) {
  const now = useNow();
  return <span className="nowrap">{elapsed(now - millis(since))}</span>;
}

export function Ago({ at }: { at: string | null | undefined }) {
  const now = useNow();
  return (
    <time className="nowrap" dateTime={at ?? undefined} title={instant(at)}>
      {ago(at, now)}
    </time>
  );
}

/** How long until; says so when it is over. */
export function Until({ at }: { at: string }) {
  const now = useNow();
  const left = millis(at) - now;
  return <span className="nowrap">{left > 0 ? elapsed(left) : "over"}</span>;
}
