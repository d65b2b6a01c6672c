import { describe, expect, it } from "vitest";
import { event, NOW, row, seat } from "../testing/make";
import { rowState } from "../model/fleet";
import { reduceFleet, reduceRow } from "./reduceFleet";

const SPOT = "us-east-1b/m5.large/spot";

describe("a server's row after events", () => {
  it("follows a switch from the question to its commit", () => {
    const events = [
      event("operation.queued", { kind: "switch", status: "queued" }),
      event("operation.running", { kind: "switch" }),
      event("operation.step", { step: "launch", position: 2, state: "started" }),
      event("instance.launching", { state: "launching", pool: SPOT }, { instance_id: "i-2" }),
    ];
    const moving = events.reduce(reduceRow, row());
    expect(moving.running).toMatchObject({ operationId: "op-1", status: "running", step: "launch" });
    expect(moving.passing).toMatchObject({ instanceId: "i-2", state: "launching" });
    expect(rowState(moving).label).toBe("Switching");

    const committed = [
      event("instance.terminating", { state: "terminating" }, { instance_id: "i-1" }),
      event(
        "instance.running_primary",
        { state: "running_primary", role: "primary", pool: SPOT, usd_per_hour: 0.03 },
        { instance_id: "i-2" },
      ),
      event("instance.terminated", { state: "terminated" }, { instance_id: "i-1" }),
      event("operation.committed", { kind: "switch", outcome: "committed", to_pool: SPOT }),
    ].reduce(reduceRow, moving);
    expect(committed.primary).toMatchObject({ instanceId: "i-2", pool: SPOT, usdPerHour: 0.03 });
    expect(committed).toMatchObject({
      running: null,
      passing: null,
      last: { kind: "switch", outcome: "committed" },
    });
    expect(rowState(committed)).toMatchObject({ label: "Running", tone: "good" });
  });

  it("is the same when an event comes twice", () => {
    const events = [
      event("operation.running", { kind: "failover" }),
      event(
        "instance.running_replica",
        { state: "running_replica", role: "replica", pool: SPOT },
        { instance_id: "i-2" },
      ),
      event("operation.committed", { kind: "failover", outcome: "committed" }),
    ];
    const once = events.reduce(reduceRow, row());
    expect([...events.slice(2), ...events.slice(2)].reduce(reduceRow, once)).toEqual(once);
  });

  it("shows a replica taking the primary's seat, and never one instance in both", () => {
    const before = row({ replica: seat({ instanceId: "i-2", state: "running_replica", pool: SPOT }) });
    const after = reduceRow(
      before,
      event(
        "instance.running_primary",
        { state: "running_primary", role: "primary" },
        { instance_id: "i-2" },
      ),
    );
    expect(after.primary).toMatchObject({ instanceId: "i-2", pool: SPOT });
    expect(after.replica).toBeNull();
  });

  it("says that it needs a person until an operation ends well", () => {
    const stuck = reduceRow(
      row(),
      event("operation.needs_attention", { kind: "switch", outcome: "needs_attention", reason: "denied" }),
    );
    expect(rowState(stuck)).toMatchObject({ label: "Needs attention", tone: "bad", detail: "denied" });
    expect(
      reduceRow(stuck, event("operation.committed", { kind: "switch", outcome: "committed" })).attention,
    ).toBe("");
  });

  it("takes a notice of its primary alone", () => {
    const deadline = "2026-01-01T12:02:00Z";
    expect(
      reduceRow(row(), event("notice.interruption", { deadline }, { instance_id: "i-1" })).deadline,
    ).toBe(deadline);
    expect(
      reduceRow(row(), event("notice.interruption", { deadline }, { instance_id: "i-9" })).deadline,
    ).toBeNull();
  });

  it("knows an agent that falls silent and comes back", () => {
    const silent = reduceRow(row(), event("agent.silent", {}, { instance_id: "i-1" }));
    expect(silent.primary).toMatchObject({ agentOnline: false, agentSeenAt: NOW });
    expect(reduceRow(silent, event("agent.back", {}, { instance_id: "i-1" })).primary?.agentOnline).toBe(
      true,
    );
  });

  it("keeps what runs when another operation is asked for", () => {
    const running = reduceRow(row(), event("operation.running", { kind: "switch" }));
    expect(reduceRow(running, event("operation.queued", { kind: "promote" }, { operation_id: "op-2" }))).toBe(
      running,
    );
  });

  it("does not begin an operation again that has ended", () => {
    const done = reduceRow(row(), event("operation.committed", { kind: "switch", outcome: "committed" }));
    expect(reduceRow(done, event("operation.queued", { kind: "switch" })).running).toBeNull();
  });
});

describe("the fleet after events", () => {
  it("gains the adopted and loses the ended", () => {
    const gained = reduceFleet(
      [row()],
      [event("server.adopted", { name: "web", region: "eu-west-1" }, { server_id: "srv-2" })],
    );
    expect(gained.map((one) => one.name)).toEqual(["web", "orders"]);
    expect(reduceFleet(gained, [event("server.ended", {})]).map((one) => one.id)).toEqual(["srv-2"]);
  });

  it("leaves rows that nothing happened to as they are", () => {
    const rows = [row(), row({ id: "srv-2" })];
    expect(reduceFleet(rows, [event("resource.made")])).toBe(rows);
    expect(reduceFleet(rows, [event("operation.running", { kind: "switch" })])[1]).toBe(rows[1]);
  });
});
