import { Compass } from "lucide-react";
import { isRouteErrorResponse, Link, useRouteError } from "react-router";
import { Empty } from "../ui/Empty";
import { ProblemNote } from "../ui/ProblemNote";

export function Missing() {
  const error = useRouteError();
  if (error && !isRouteErrorResponse(error)) {
    return (
      <main className="page">
        <ProblemNote error={error} doing="This screen failed" />
        <a href="/">Load the fleet again</a>
      </main>
    );
  }
  return (
    <Empty icon={Compass} title="There is no such page">
      <Link to="/">Go to the fleet</Link>
    </Empty>
  );
}
