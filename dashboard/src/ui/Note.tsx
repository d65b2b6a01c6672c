import { CircleAlert, Info } from "lucide-react";
import type { ReactNode } from "react";
import type { Tone } from "../model/words";

export function Note({ tone, title, children }: { tone: Tone; title: string; children?: ReactNode }) {
  const Icon = tone === "bad" || tone === "warn" ? CircleAlert : Info;
  return (
    <div className="note" data-tone={tone} role={tone === "bad" ? "alert" : "status"}>
      <Icon aria-hidden />
      <div>
        <strong>{title}</strong>
        {children}
      </div>
    </div>
  );
}
