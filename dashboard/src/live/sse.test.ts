import { expect, it } from "vitest";
import { SseParser } from "./sse";

it("puts together what arrives in pieces, and passes over comments", () => {
  const parser = new SseParser();
  expect(parser.push("retry: 1000\n\n: waiting\n\nid: 7\nevent: a.b\nda")).toEqual([]);
  expect(parser.push('ta: {"x": 1}\n\nid: 8\ndata: one\ndata: two\n')).toEqual([
    { id: "7", event: "a.b", data: '{"x": 1}' },
  ]);
  expect(parser.push("\n")).toEqual([{ id: "8", event: "message", data: "one\ntwo" }]);
});

it("takes lines that end as in Windows", () => {
  expect(new SseParser().push("id: 1\r\ndata: x\r\n\r\n")).toHaveLength(1);
});
