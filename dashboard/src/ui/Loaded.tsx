import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Problem } from "../api/http";
import { ProblemNote } from "./ProblemNote";
import { Skeleton } from "./Skeleton";

interface Props<T> {
  query: UseQueryResult<T>;
  /** As high as what will come, so that nothing jumps. */
  height: number;
  doing: string;
  /** What to show where this API does not offer it. */
  absent?: ReactNode;
  children: (data: T) => ReactNode;
}

/** A query's data; what was loaded before stays while it is loaded again, also when that fails. */
export function Loaded<T>({ query, height, doing, absent, children }: Props<T>) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) {
    if (absent && query.error instanceof Problem && query.error.status === 404) return <>{absent}</>;
    return <ProblemNote error={query.error} doing={doing} />;
  }
  return <Skeleton height={height} />;
}
