/** A client's own affairs: its tokens, what holds for all its servers, and where it is told of things. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { get, request } from "./http";
import { keys } from "./keys";
import type { DeliveryView, WebhookView } from "./types";
import type { Schemas } from "./types";

export type Client = Schemas["ClientView"];
export type Token = Schemas["TokenView"];

export const useClient = (clientId: string) =>
  useQuery({
    queryKey: [...keys.client, clientId],
    queryFn: ({ signal }) => get<Client>(`/api/clients/${clientId}`, {}, signal),
    enabled: clientId !== "",
  });

export function useClientChange(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: Schemas["ClientChange"]) =>
      request<Client>("PATCH", `/api/clients/${clientId}`, { body: change }),
    onSuccess: (client) => queries.setQueryData([...keys.client, clientId], client),
  });
}

export const useTokens = (clientId: string) =>
  useQuery({
    queryKey: [...keys.tokens, clientId],
    queryFn: ({ signal }) => get<Schemas["TokenList"]>(`/api/clients/${clientId}/tokens`, {}, signal),
  });

export function useNewToken(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (label: string) =>
      request<Schemas["NewTokenView"]>("POST", `/api/clients/${clientId}/tokens`, { body: { label } }),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.tokens }),
  });
}

export function useRevoke(clientId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (tokenId: string) => request("DELETE", `/api/clients/${clientId}/tokens/${tokenId}`),
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.tokens }),
  });
}

export const useWebhooks = () =>
  useQuery({
    queryKey: keys.webhooks,
    queryFn: ({ signal }) => get<{ items: WebhookView[] }>("/api/webhooks", {}, signal),
  });

export const useDeliveries = (webhookId: string) =>
  useQuery({
    queryKey: [...keys.webhooks, webhookId],
    queryFn: ({ signal }) =>
      get<{ items: DeliveryView[] }>(`/api/webhooks/${webhookId}/deliveries`, { limit: 20 }, signal),
  });

export type WebhookAct =
  | { act: "create"; url: string; label: string; kinds: string[] }
  | { act: "change"; id: string; change: { active?: boolean } }
  | { act: "delete"; id: string }
  | { act: "test"; id: string };

export function useWebhookAct() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (act: WebhookAct): Promise<{ secret?: string } | undefined> => {
      switch (act.act) {
        case "create":
          return request("POST", "/api/webhooks", {
            body: { url: act.url, label: act.label, kinds: act.kinds },
          });
        case "change":
          return request("PATCH", `/api/webhooks/${act.id}`, { body: act.change });
        case "delete":
          return request("DELETE", `/api/webhooks/${act.id}`);
        case "test":
          return request("POST", `/api/webhooks/${act.id}/test`);
      }
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: keys.webhooks }),
  });
}
