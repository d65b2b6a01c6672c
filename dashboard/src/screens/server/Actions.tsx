import { Menu } from "@base-ui/react/menu";
import { ArrowRightLeft, ChevronDown, Copy, CopyX, LifeBuoy, LogOut, Crown, Trash2 } from "lucide-react";
import { useState } from "react";
import type { Ask } from "../../api/servers";
import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import { AskDialog } from "./AskDialog";

interface Props {
  server: Server;
  row: FleetRow | undefined;
  onSwitch: () => void;
}

const ITEMS: { ask: Ask; label: string; icon: typeof Copy; danger?: boolean; line?: boolean }[] = [
  { ask: "replica_create", label: "Create a replica", icon: Copy },
  { ask: "replica_drop", label: "Drop the replica", icon: CopyX },
  { ask: "promote", label: "Promote the replica", icon: Crown },
  { ask: "failover", label: "Fail over now", icon: LifeBuoy, line: true },
  { ask: "release", label: "Release", icon: LogOut },
  { ask: "terminate", label: "Terminate", icon: Trash2, danger: true },
];

export function Actions({ server, row, onSwitch }: Props) {
  const [asking, setAsking] = useState<Ask | null>(null);
  return (
    <div className="page__actions">
      <button type="button" className="button button--primary" onClick={onSwitch}>
        <ArrowRightLeft aria-hidden />
        Plan a switch
      </button>
      <Menu.Root>
        <Menu.Trigger className="button">
          More <ChevronDown aria-hidden />
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner align="end" sideOffset={6}>
            <Menu.Popup className="menu">
              {ITEMS.map(({ ask, label, icon: Icon, danger, line }) => (
                <div key={ask} role="none">
                  {line && <Menu.Separator className="menu__line" />}
                  <Menu.Item
                    className={danger ? "menu__item menu__item--danger" : "menu__item"}
                    disabled={!possible(ask, row)}
                    onClick={() => setAsking(ask)}
                  >
                    <Icon aria-hidden />
                    {label}
                  </Menu.Item>
                </div>
              ))}
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
      {asking && <AskDialog ask={asking} server={server} row={row} onClose={() => setAsking(null)} />}
    </div>
  );
}

/** What the page can see to be refused is not offered; the API has the last word. */
function possible(ask: Ask, row: FleetRow | undefined): boolean {
  if (!row) return false;
  if (ask === "replica_create") return !row.replica;
  if (ask === "replica_drop" || ask === "promote") return !!row.replica;
  if (ask === "terminate") return !!row.primary;
  return true;
}
