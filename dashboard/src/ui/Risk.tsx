import type { Level } from "../model/risk";

const WORDS: Record<Level, string> = { low: "Low", medium: "Medium", high: "High", unknown: "Not known" };

/** Three bars and a word. */
export function Risk({ level }: { level: Level }) {
  return (
    <span className="risk" data-level={level}>
      <i aria-hidden />
      <i aria-hidden />
      <i aria-hidden />
      {WORDS[level]}
    </span>
  );
}
