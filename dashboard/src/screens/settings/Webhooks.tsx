import { Plus, Webhook as Icon } from "lucide-react";
import { useState } from "react";
import type { DeliveryView, WebhookView } from "../../api/types";
import { useDeliveries, useWebhookAct, useWebhooks, type WebhookKind } from "../../api/settings";
import { clock, duration } from "../../model/time";
import { sentence, type Tone } from "../../model/words";
import { Badge } from "../../ui/Badge";
import { Ago } from "../../ui/Elapsed";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { Modal } from "../../ui/Modal";
import { ProblemNote } from "../../ui/ProblemNote";
import { Secret } from "../../ui/Secret";
import { complain, say } from "../../ui/toasts";

const KINDS: Partial<Record<WebhookKind, string>> = {
  notice: "Notices of AWS",
  failover: "Failovers",
  attention: "What needs a person",
  decision: "Decisions that wait",
  summary: "The week's summary",
};
const OFFERED = Object.keys(KINDS) as WebhookKind[];

export function Webhooks() {
  const webhooks = useWebhooks();
  return (
    <section className="card" aria-labelledby="webhooks">
      <header className="card__head">
        <h2 id="webhooks">Webhooks</h2>
      </header>
      <Loaded
        query={webhooks}
        height={200}
        doing="Loading the webhooks"
        absent={<Empty icon={Icon} title="This API has no webhooks yet" />}
      >
        {(list) => (
          <>
            <NewWebhook />
            {list.items.length ? (
              <List items={list.items} />
            ) : (
              <p className="muted card__body">
                Nobody is told yet. Messages are signed; the secret is shown once.
              </p>
            )}
          </>
        )}
      </Loaded>
    </section>
  );
}

function NewWebhook() {
  const acting = useWebhookAct();
  const [url, setUrl] = useState("");
  const [label, setLabel] = useState("");
  const [kinds, setKinds] = useState(OFFERED);
  const toggle = (kind: WebhookKind) =>
    setKinds((before) => (before.includes(kind) ? before.filter((one) => one !== kind) : [...before, kind]));
  return (
    <div className="card__body stack">
      <form
        className="inline-form"
        onSubmit={(event) => {
          event.preventDefault();
          acting.mutate(
            { act: "create", url, label, kinds },
            {
              onSuccess: () => {
                setUrl("");
                setLabel("");
              },
            },
          );
        }}
      >
        <div className="field">
          <label htmlFor="url">Address</label>
          <input
            id="url"
            className="input"
            type="url"
            required
            placeholder="https://hooks.example.com/spot"
            value={url}
            onChange={(event) => setUrl(event.target.value)}
          />
        </div>
        <div className="field">
          <label htmlFor="webhook-label">What is it for?</label>
          <input
            id="webhook-label"
            className="input"
            value={label}
            onChange={(event) => setLabel(event.target.value)}
          />
        </div>
        <button
          type="submit"
          className="button button--primary"
          disabled={acting.isPending || kinds.length === 0}
        >
          <Plus aria-hidden /> Add
        </button>
      </form>
      <fieldset className="kinds">
        <legend>It is told of</legend>
        {OFFERED.map((kind) => (
          <label key={kind} className="check">
            <input type="checkbox" checked={kinds.includes(kind)} onChange={() => toggle(kind)} />
            {KINDS[kind]}
          </label>
        ))}
      </fieldset>
      {acting.error && <ProblemNote error={acting.error} doing="It was not added" />}
      {acting.data?.secret && (
        <Secret title="The secret that signs its messages" secret={acting.data.secret} />
      )}
    </div>
  );
}

const TONES: Record<WebhookView["state"], Tone> = { active: "good", paused: "idle", disabled: "bad" };

function List({ items }: { items: WebhookView[] }) {
  const [looking, setLooking] = useState<WebhookView | null>(null);
  return (
    <div className="scroll-x" tabIndex={0}>
      <table className="table webhooks">
        <thead>
          <tr>
            <th>Address</th>
            <th>Told of</th>
            <th>State</th>
            <th>
              <span className="visually-hidden">What can be done</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((webhook) => (
            <Row key={webhook.id} webhook={webhook} onLook={() => setLooking(webhook)} />
          ))}
        </tbody>
      </table>
      {looking && <Deliveries webhook={looking} onClose={() => setLooking(null)} />}
    </div>
  );
}

function Row({ webhook, onLook }: { webhook: WebhookView; onLook: () => void }) {
  const acting = useWebhookAct();
  const failed = { onError: (error: unknown) => complain("It stays as it was", error) };
  const paused = webhook.state !== "active";
  const [sure, setSure] = useState(false);
  const remove = () => acting.mutate({ act: "delete", id: webhook.id }, failed);
  return (
    <tr>
      <td className="wrap">
        {webhook.label && <b>{webhook.label} </b>}
        <span className="mono muted">{webhook.url}</span>
      </td>
      <td>{webhook.kinds.map((kind) => KINDS[kind as WebhookKind] ?? sentence(kind)).join(", ")}</td>
      <td>
        <Badge label={sentence(webhook.state)} tone={TONES[webhook.state]} /> <small>{webhook.why}</small>
      </td>
      <td className="end">
        <button type="button" className="button" onClick={onLook}>
          Log
        </button>
        <button
          type="button"
          className="button"
          onClick={() =>
            acting.mutate(
              { act: "test", id: webhook.id },
              { ...failed, onSuccess: () => say("A test is on its way") },
            )
          }
        >
          Test
        </button>
        <button
          type="button"
          className="button"
          onClick={() => acting.mutate({ act: "change", id: webhook.id, change: { active: paused } }, failed)}
        >
          {paused ? "Resume" : "Pause"}
        </button>
        <button
          type="button"
          className="button button--danger"
          onClick={() => (sure ? remove() : setSure(true))}
          onBlur={() => setSure(false)}
        >
          {sure ? "Remove for good" : "Remove"}
        </button>
      </td>
    </tr>
  );
}

function Deliveries({ webhook, onClose }: { webhook: WebhookView; onClose: () => void }) {
  const query = useDeliveries(webhook.id);
  return (
    <Modal
      title="What was sent"
      about={webhook.url}
      onClose={onClose}
      foot={
        <>
          <span />
          <button type="button" className="button" onClick={onClose}>
            Close
          </button>
        </>
      }
    >
      <Loaded query={query} height={160} doing="Loading what was sent">
        {(page) =>
          page.items.length === 0 ? (
            <p className="muted">Nothing yet.</p>
          ) : (
            <table className="table">
              <thead>
                <tr>
                  <th>Event</th>
                  <th>What came of it</th>
                </tr>
              </thead>
              <tbody>
                {page.items.map((delivery) => (
                  <Sent key={delivery.id} delivery={delivery} />
                ))}
              </tbody>
            </table>
          )
        }
      </Loaded>
    </Modal>
  );
}

const OUTCOMES: Record<DeliveryView["state"], Tone> = {
  pending: "busy",
  delivered: "good",
  failed: "bad",
  dropped: "idle",
};

function Sent({ delivery }: { delivery: DeliveryView }) {
  const { attempts, duration_ms: ms, response_code: code, next_try_at: next } = delivery;
  return (
    <tr>
      <td>
        {delivery.type}
        <p className="muted">
          <Ago at={delivery.created_at} />
          {attempts > 1 && `, ${attempts} attempts`}
          {ms !== null && `, ${duration(ms)}`}
        </p>
      </td>
      <td>
        <Badge label={sentence(delivery.state)} tone={OUTCOMES[delivery.state]} />{" "}
        {code !== null && <span className="muted nowrap">HTTP {code}</span>}
        {delivery.error && <p className="tone-bad">{delivery.error}</p>}
        {next && <p className="muted">again at {clock(next)}</p>}
      </td>
    </tr>
  );
}
