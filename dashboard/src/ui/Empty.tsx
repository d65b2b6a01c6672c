import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

/** Nothing is here yet, and what the first step is. */
export function Empty({
  icon: Icon,
  title,
  children,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
}) {
  return (
    <div className="empty">
      <Icon aria-hidden />
      <strong>{title}</strong>
      {children}
    </div>
  );
}
