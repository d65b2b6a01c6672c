import { Problem } from "../api/http";
import { adviceOn } from "../model/advice";
import { Note } from "./Note";

/** An error where it happened, in words, with what to do. */
export function ProblemNote({ error, doing }: { error: unknown; doing?: string }) {
  if (!(error instanceof Problem)) {
    return (
      <Note tone="bad" title={doing ?? "Something failed on this page"}>
        {String(error)}
      </Note>
    );
  }
  const advice = adviceOn(error.kind);
  return (
    <Note tone="bad" title={doing ? `${doing}: ${error.title}` : error.title}>
      <p>{error.message}</p>
      {error.findings.map((finding) => (
        <p key={finding.code}>
          {finding.what} {finding.mend && <code>{finding.mend}</code>}
        </p>
      ))}
      {advice && <p className="muted">{advice}</p>}
      {error.status >= 500 && error.requestId && <p className="muted">Request {error.requestId}</p>}
    </Note>
  );
}
