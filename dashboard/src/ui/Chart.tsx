import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Series {
  label: string;
  /** A custom property of styles/tokens.css. */
  colour: string;
  /** One for each point of time; null: not known. */
  values: (number | null)[];
  dashed?: boolean;
  stepped?: boolean;
  fill?: boolean;
}

interface Props {
  label: string;
  /** Epoch seconds. */
  times: number[];
  series: Series[];
  height: number;
  format: (value: number) => string;
  bars?: boolean;
}

/** Lines over time. The canvas is for eyes; `label` says in words what it shows. */
export function Chart({ label, times, series, height, format, bars }: Props) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const node = place.current;
    if (!node) return;
    const draw = () => {
      const options = optionsOf(node, { times, series, height, format, bars, width: node.clientWidth });
      return new uPlot(options, [times, ...series.map((one) => one.values)], node);
    };
    let plot = draw();
    const redraw = () => {
      plot.destroy();
      plot = draw();
    };
    const sizes = new ResizeObserver(() => {
      if (node.clientWidth !== plot.width) plot.setSize({ width: node.clientWidth, height });
    });
    sizes.observe(node);
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      sizes.disconnect();
      theme.disconnect();
      plot.destroy();
    };
  }, [times, series, height, format, bars]);
  return <div ref={place} className="chart" role="img" aria-label={label} style={{ minHeight: height }} />;
}

type Wanted = Omit<Props, "label"> & { width: number };

function optionsOf(node: HTMLElement, wanted: Wanted): uPlot.Options {
  const style = getComputedStyle(node);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font: '12px "Inter Variable", sans-serif',
  };
  return {
    width: wanted.width,
    height: wanted.height,
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    padding: [10, 8, 0, 0],
    scales: {
      x: { range: (_, from, to) => (wanted.bars ? widened(from, to, wanted.times.length) : [from, to]) },
      y: { range: (_, low, high) => [Math.min(0, low), high * 1.08 || 1] },
    },
    axes: [
      { ...axis, size: 32, values: (_, ticks, __, ___, step) => ticks.map((at) => dayOrTime(at, step)) },
      { ...axis, size: 68, values: (_, ticks) => ticks.map(wanted.format) },
    ],
    series: [{}, ...wanted.series.map((one) => seriesOf(one, colour, wanted.bars))],
  };
}

function seriesOf(one: Series, colour: (name: string) => string, bars: boolean | undefined): uPlot.Series {
  const stroke = colour(one.colour);
  const paths = bars ? uPlot.paths.bars : one.stepped ? uPlot.paths.stepped : undefined;
  const path = bars ? uPlot.paths.bars?.({ size: [0.62, 34] }) : uPlot.paths.stepped?.({ align: 1 });
  return {
    label: one.label,
    stroke,
    width: bars ? 0 : 2,
    points: { show: false },
    ...(one.dashed && { dash: [6, 5], width: 1.5 }),
    ...(bars && { fill: stroke }),
    ...(!bars && one.fill && { fill: `${stroke}22` }),
    ...(paths && path && { paths: path }),
  };
}

/** What a tick of the time axis says; `step` seconds lie between two. */
function dayOrTime(at: number, step: number): string {
  const date = new Date(at * 1_000);
  if (step >= 27 * 86_400) return date.toLocaleDateString("en-GB", { month: "short", year: "2-digit" });
  if (step >= 86_400 || date.getHours() + date.getMinutes() === 0) {
    return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  }
  return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** Room for the whole of the first bar and of the last. */
function widened(from: number, to: number, bars: number): [number, number] {
  const half = bars > 1 ? (to - from) / (bars - 1) / 2 : 43_200;
  return [from - half, to + half];
}
