/** Special functions in float64, for the plain kernels. */

/** The error function, to about 1e-15: its series near zero, a continued fraction of the tail beyond. */
export function erfOf(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude > 6) return Math.sign(x);
  if (magnitude < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (magnitude + fraction);
  const tail = Math.exp(-x * x) / (Math.sqrt(Math.PI) * (magnitude + fraction));
  return Math.sign(x) * (1 - tail);
}
