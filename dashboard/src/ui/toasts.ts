import { Toast } from "@base-ui/react/toast";
import { Problem } from "../api/http";
import { adviceOn } from "../model/advice";

export const toasts = Toast.createToastManager();

export function say(title: string, description?: string): void {
  toasts.add({ title, description, type: "good", timeout: 5_000 });
}

/** Stays until it is read: a refusal nobody saw is a surprise later. */
export function complain(doing: string, error: unknown): void {
  const known = error instanceof Problem;
  const description = known ? `${error.message} ${adviceOn(error.kind)}`.trim() : String(error);
  toasts.add({
    title: known ? `${doing}: ${error.title}` : doing,
    description,
    type: "bad",
    timeout: 0,
    priority: "high",
  });
}
