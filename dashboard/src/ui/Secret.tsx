import { Copy } from "lucide-react";
import { say } from "./toasts";

/** A secret, once. It is gone when the screen is left. */
export function Secret({ title, secret }: { title: string; secret: string }) {
  const copy = () => {
    void navigator.clipboard?.writeText(secret).then(() => say("Copied"));
  };
  return (
    <div className="note" data-tone="good" role="status">
      <div className="secret">
        <strong>{title}</strong>
        <p className="muted">It is shown this once. Only a digest of it is kept.</p>
        <p>
          <code>{secret}</code>
        </p>
        <button type="button" className="button" onClick={copy}>
          <Copy aria-hidden /> Copy
        </button>
      </div>
    </div>
  );
}
