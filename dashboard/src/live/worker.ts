/** Shared by all tabs of a browser: browsers allow six connections to a host, and a stream holds one for good. */
import type { Command, Told } from "./messages";
import { Switchboard, type Line } from "./switchboard";

interface SharedScope {
  onconnect: (event: MessageEvent) => void;
}

const switchboard = new Switchboard();

(self as unknown as SharedScope).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const line: Line = { post: (message: Told) => port.postMessage(message) };
  port.onmessage = (message: MessageEvent<Command>) => switchboard.handle(line, message.data);
};
