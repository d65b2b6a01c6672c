import type { Badge as BadgeWords } from "../model/words";

export function Badge({ label, tone }: BadgeWords) {
  return (
    <span className="badge" data-tone={tone}>
      {label}
    </span>
  );
}
