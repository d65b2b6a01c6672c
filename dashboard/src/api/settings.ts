/** A client's own affairs: its tokens, what holds for all its servers, and where it is told of things. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export type Client = Schemas["ClientView"];
export type Token = Schemas["TokenView"];

const paramsOf = (clientId: string) => ({ path: { client_id: clientId } });

export const useClient = (clientId: string) =>
  useQuery({
    queryKey: [...keys.client, clientId],
    queryFn: ({ signal }) =>
      answerOf(api.GET("/api/clients/{client_id}", { params: paramsOf(clientId), signal })),
    enabled: clientId !== "",
  });

export function useClientChange(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: Schemas["ClientChange"]) =>
      answerOf(api.PATCH("/api/clients/{client_id}", { params: paramsOf(clientId), body: change })),
    onSuccess: (client) => queries.setQueryData([...keys.client, clientId], client),
  });
}

export const useTokens = (clientId: string) =>
  useQuery({
    queryKey: [...keys.tokens, clientId],
    queryFn: ({ signal }) =>
      answerOf(api.GET("/api/clients/{client_id}/tokens", { params: paramsOf(clientId), signal })),
  });

export function useNewToken(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (label: string) =>
      answerOf(api.POST("/api/clients/{client_id}/tokens", { params: paramsOf(clientId), body: { label } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.tokens }),
  });
}

export function useRevoke(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (tokenId: string) =>
      answerOf(
        api.DELETE("/api/clients/{client_id}/tokens/{token_id}", {
          params: { path: { client_id: clientId, token_id: tokenId } },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.tokens }),
  });
}

export const useWebhooks = () =>
  useQuery({
    queryKey: keys.webhooks,
    queryFn: ({ signal }) => answerOf(api.GET("/api/webhooks", { signal })),
  });

export const useDeliveries = (webhookId: string) =>
  useQuery({
    queryKey: [...keys.webhooks, webhookId],
    queryFn: ({ signal }) =>
      answerOf(
        api.GET("/api/webhooks/{webhook_id}/deliveries", {
          params: { path: { webhook_id: webhookId }, query: { limit: 20 } },
          signal,
        }),
      ),
  });

export type WebhookKind = NonNullable<Schemas["WebhookRequest"]["kinds"]>[number];

export type WebhookAct =
  | { act: "create"; url: string; label: string; kinds: WebhookKind[] }
  | { act: "change"; id: string; change: { active?: boolean } }
  | { act: "delete"; id: string }
  | { act: "test"; id: string };

export function useWebhookAct() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.webhooks }),
  });
}

/** The secret of a new webhook is shown once: no other answer has one. */
async function send(act: WebhookAct): Promise<{ secret?: string }> {
  if (act.act === "create") {
    const body = { url: act.url, label: act.label, kinds: act.kinds };
    return answerOf(api.POST("/api/webhooks", { body }));
  }
  const params = { path: { webhook_id: act.id } };
  switch (act.act) {
    case "change":
      await api.PATCH("/api/webhooks/{webhook_id}", { params, body: act.change });
      break;
    case "delete":
      await api.DELETE("/api/webhooks/{webhook_id}", { params });
      break;
    case "test":
      await api.POST("/api/webhooks/{webhook_id}/test", { params });
  }
  return {};
}
