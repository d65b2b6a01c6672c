/** Server-Sent Events as they arrive in pieces. EventSource cannot name the client that an admin acts for. */
export interface Frame {
  id: string;
  event: string;
  data: string;
}

export class SseParser {
  private rest = "";

  /** The frames that this piece completes. Comments and `retry` are none. */
  push(piece: string): Frame[] {
    const blocks = (this.rest + piece.replaceAll("\r\n", "\n")).split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map(frameOf).filter((frame) => frame !== null);
  }
}

function frameOf(block: string): Frame | null {
  const frame: Frame = { id: "", event: "message", data: "" };
  let filled = false;
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue; // a comment, or no field
    const value = line.slice(colon + 1).replace(/^ /, "");
    const field = line.slice(0, colon);
    if (field === "data") {
      frame.data += filled ? `\n${value}` : value;
      filled = true;
    } else if (field === "id") frame.id = value;
    else if (field === "event") frame.event = value;
  }
  return filled ? frame : null;
}
