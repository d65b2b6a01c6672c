import { WifiOff } from "lucide-react";
import { useSyncExternalStore } from "react";
import { connection } from "../live/connection";
import { clock } from "../model/time";
import { useNow } from "../ui/now";

const useConnection = () => useSyncExternalStore(connection.subscribe, connection.snapshot);

const WORDS = {
  connecting: "Connecting",
  live: "Live",
  lost: "Not connected",
  "signed-out": "Signed out",
} as const;

export function ConnectionDot() {
  const state = useConnection();
  return (
    <span className="live" data-connection={state.connection} data-seq={state.seq} role="status">
      {WORDS[state.connection]}
    </span>
  );
}

/** What is on the page is old while nothing new can come; who reads it has to know. */
export function ConnectionBanner() {
  const state = useConnection();
  if (state.connection !== "lost") return null;
  return (
    <div className="banner" role="alert">
      <WifiOff aria-hidden />
      <span>
        <strong>Connection lost.</strong> This is the state of {clock(state.since)}. Nothing is missed: events
        are caught up when it is back. <Retry at={state.retryAt} />
      </span>
      <button type="button" className="button" onClick={() => connection.retry()}>
        Try now
      </button>
    </div>
  );
}

function Retry({ at }: { at: number }) {
  const left = Math.ceil((at - useNow()) / 1_000);
  return left > 0 ? <>Next try in {left} s.</> : <>Trying…</>;
}
