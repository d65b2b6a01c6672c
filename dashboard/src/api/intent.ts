/** Keys for Idempotency-Key. `crypto.randomUUID` is missing where the page comes by plain http from another host. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
