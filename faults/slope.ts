/** Whether something grows: the median of all slopes between two points (Theil and Sen), which outliers do not move. */

export interface Slope {
  /** Units of y in a unit of x; NaN for fewer than two points. */
  readonly slope: number;
  /** Its 95 % interval, by Kendall's variance. */
  readonly low: number;
  readonly high: number;
}

const Z95 = 1.96;

export function robustSlope(points: readonly (readonly [x: number, y: number])[]): Slope {
  const slopes: number[] = [];
  points.forEach(([x, y], i) => {
    for (const [laterX, laterY] of points.slice(i + 1)) if (laterX !== x) slopes.push((laterY - y) / (laterX - x));
  });
  slopes.sort((a, b) => a - b);
  const n = points.length;
  const spread = Z95 * Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const rank = (at: number): number => slopes[Math.min(slopes.length - 1, Math.max(0, Math.round(at)))] ?? NaN;
  const middle = (rank((slopes.length - 1) / 2) + rank(Math.floor((slopes.length - 1) / 2))) / 2;
  return { slope: middle, low: rank((slopes.length - spread) / 2 - 1), high: rank((slopes.length + spread) / 2) };
}

/** The least y of each stretch of x, at the middle of the stretch: what is left when garbage has been collected. */
export function floorOf(
  points: readonly (readonly [x: number, y: number])[],
  width: number,
): (readonly [x: number, y: number])[] {
  const least = new Map<number, number>();
  for (const [x, y] of points) {
    const at = Math.floor(x / width);
    least.set(at, Math.min(least.get(at) ?? Infinity, y));
  }
  return [...least].sort(([a], [b]) => a - b).map(([at, y]) => [(at + 0.5) * width, y]);
}
