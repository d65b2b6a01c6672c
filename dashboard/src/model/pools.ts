/** A pool's name is `zone/type/lifecycle`: us-east-1a/m5.large/spot. */
export interface PoolParts {
  zone: string;
  type: string;
  lifecycle: "spot" | "on-demand";
}

export function partsOf(pool: string | null | undefined): PoolParts | null {
  const [zone, type, lifecycle] = (pool ?? "").split("/");
  if (!zone || !type || (lifecycle !== "spot" && lifecycle !== "on-demand")) return null;
  return { zone, type, lifecycle };
}

/** What a person may type: a pool's name, or why it is none. */
export function problemWithPool(text: string): string | null {
  if (partsOf(text.trim())) return null;
  return "Write zone/type/lifecycle, for example us-east-1a/m5.large/spot.";
}
