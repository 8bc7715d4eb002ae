/** The word that was probably meant. */

/** The one of `words` that takes the fewest edits; undefined when there are none. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  return words.reduce<string | undefined>(
    (best, next) => (best === undefined || distance(word, next) < distance(word, best) ? next : best),
    undefined,
  );
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other (Damerau and Levenshtein). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const [above, aboveThat] = [row, before];
    before = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swapped = j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = swapped ? aboveThat[j - 2]! + 1 : Infinity;
      row.push(Math.min(swap, above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
  }
  return row[b.length]!;
}
