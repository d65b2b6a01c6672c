import { useState } from "react";
import { newKey } from "../../api/http";
import { useAsk, type Ask, type Asked } from "../../api/servers";
import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import { Modal } from "../../ui/Modal";
import { Note } from "../../ui/Note";
import { ProblemNote } from "../../ui/ProblemNote";
import { say } from "../../ui/toasts";

interface Words {
  title: string;
  means: string;
  button: string;
  said: string;
}

const WORDS: Record<Exclude<Ask, "switch">, Words> = {
  replica_create: {
    title: "Create a replica",
    means:
      "A second instance is launched in the best other pool and kept warm. It costs its price until it is dropped.",
    button: "Create it",
    said: "A replica is being created",
  },
  replica_drop: {
    title: "Drop the replica",
    means: "The replica ends. A rescue then has to launch an instance first.",
    button: "Drop it",
    said: "The replica is being dropped",
  },
  promote: {
    title: "Promote the replica",
    means:
      "The replica becomes the primary, and the present primary ends. The service is out while state moves.",
    button: "Promote it",
    said: "The replica is being promoted",
  },
  failover: {
    title: "Fail over now",
    means:
      "A rescue, ahead of everything else: a replica is promoted at once, otherwise replacements are launched in several pools. The present primary ends.",
    button: "Fail over",
    said: "It is failing over",
  },
  release: {
    title: "Release",
    means: "The server is ours no longer: our tags come off, and its instance keeps running where it is.",
    button: "Release it",
    said: "It is being released",
  },
  terminate: {
    title: "Terminate",
    means: "Its instances end, and so does the server. This cannot be undone.",
    button: "Terminate it",
    said: "It is being terminated",
  },
};

interface Props {
  ask: Ask;
  server: Server;
  row: FleetRow | undefined;
  onClose: () => void;
}

export function AskDialog({ ask, server, row, onClose }: Props) {
  const [key] = useState(newKey);
  const [typed, setTyped] = useState("");
  const [primary] = useState(row?.primary?.instanceId); // the one that was on the screen when this was asked for
  const asking = useAsk(server.id);
  if (ask === "switch") return null;
  const words = WORDS[ask];
  const final = ask === "terminate";
  const moved = final && (!primary || row?.primary?.instanceId !== primary);
  const ready = !asking.isPending && !moved && (!final || typed === server.name);
  const send = () => {
    if (!ready) return;
    const asked: Asked =
      ask === "terminate" ? { ask, key, instanceId: primary ?? "", confirm: typed } : { ask, key };
    asking.mutate(asked, {
      onSuccess: () => {
        say(words.said, server.name);
        onClose();
      },
    });
  };
  return (
    <Modal
      small
      title={`${words.title}: ${server.name}`}
      onClose={onClose}
      foot={
        <>
          <span />
          <button type="button" className="button" onClick={onClose}>
            Leave it
          </button>
          <button
            type="button"
            className={final ? "button button--danger" : "button button--primary"}
            aria-disabled={!ready}
            onClick={send}
          >
            {asking.isPending ? "Asking…" : words.button}
          </button>
        </>
      }
    >
      {asking.error && <ProblemNote error={asking.error} doing="Nothing was changed" />}
      {moved && !asking.isPending && !asking.isSuccess && (
        <Note tone="warn" title="It has another primary by now, or none">
          <p>Look at the server again, and ask anew.</p>
        </Note>
      )}
      <p>{words.means}</p>
      {final && (
        <div className="field">
          <label htmlFor="confirm">
            Type <b>{server.name}</b> to confirm
          </label>
          <input
            id="confirm"
            className="input"
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </div>
      )}
    </Modal>
  );
}
