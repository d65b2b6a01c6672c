import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import { row, seat } from "../../testing/make";
import { AskDialog } from "./AskDialog";

const SERVER = { id: "srv-1", name: "orders" } as Server;

let asked: string[];

beforeEach(() => {
  asked = [];
  vi.stubGlobal("fetch", ({ url }: Request) => {
    asked.push(new URL(url).pathname);
    return Promise.resolve(Response.json({ operation_id: "op-1" }));
  });
});
afterEach(() => void vi.unstubAllGlobals());

const queries = new QueryClient();
const dialog = (shown: FleetRow) => (
  <QueryClientProvider client={queries}>
    <AskDialog ask="terminate" server={SERVER} row={shown} onClose={() => undefined} />
  </QueryClientProvider>
);

it("ends the instance that was on the screen", async () => {
  render(dialog(row()));
  await userEvent.type(screen.getByRole("textbox"), "orders");
  await userEvent.click(screen.getByRole("button", { name: "Terminate it" }));
  expect(asked).toEqual(["/api/instances/i-1/terminate"]);
});

it.each([
  ["none", row({ primary: null })],
  ["another", row({ primary: seat({ instanceId: "i-2" }) })],
])("asks for nothing when by then the primary is %s", async (_, later) => {
  const { rerender } = render(dialog(row()));
  await userEvent.type(screen.getByRole("textbox"), "orders");
  rerender(dialog(later));
  await userEvent.click(screen.getByRole("button", { name: "Terminate it" }));
  expect(asked).toEqual([]);
  expect(screen.getByText("It has another primary by now, or none")).toBeTruthy();
});
