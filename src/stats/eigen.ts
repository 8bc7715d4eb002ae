/** Eigenvalues, largest first, and eigenvectors (one a row) of a symmetric matrix, by Jacobi's rotations; meant for tens of rows. */
export function eigenSymmetric(matrix: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = matrix.map((_, i) => matrix.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < SWEEPS && offDiagonal(a) > 0; sweep++)
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, p, q);
  const order = a.map((_, i) => i).sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((i) => a[i]![i]!), vectors: order.map((i) => v.map((row) => row[i]!)) };
}

/** It converges quadratically: six to ten sweeps. */
const SWEEPS = 40;

function offDiagonal(a: readonly (readonly number[])[]): number {
  let largest = 0;
  let scale = 0;
  a.forEach((row, i) =>
    row.forEach((value, j) => {
      if (i === j) scale = Math.max(scale, Math.abs(value));
      else largest = Math.max(largest, Math.abs(value));
    }),
  );
  return largest <= 1e-14 * scale ? 0 : largest;
}

/** Turns axes p and q so that a[p][q] vanishes. */
function rotate(a: number[][], v: number[][], p: number, q: number): void {
  const off = a[p]![q]!;
  if (off === 0) return;
  const half = (a[q]![q]! - a[p]![p]!) / (2 * off);
  const tangent = (half < 0 ? -1 : 1) / (Math.abs(half) + Math.hypot(half, 1));
  const cosine = 1 / Math.hypot(tangent, 1);
  const sine = tangent * cosine;
  const turn = (rows: number[][]): void => {
    for (const row of rows) {
      const [x, y] = [row[p]!, row[q]!];
      row[p] = cosine * x - sine * y;
      row[q] = sine * x + cosine * y;
    }
  };
  turn(a); // columns
  turn(v);
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[p]![k]!, a[q]![k]!];
    a[p]![k] = cosine * x - sine * y;
    a[q]![k] = sine * x + cosine * y;
  }
}
