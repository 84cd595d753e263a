/** The two directions in which points differ most: a map of vectors of any size. */

const ROUNDS = 60;

/** Returns each row's place along the first two principal components, scaled to -1 to 1. */
export function plane(rows: number[][]): [number, number][] {
  const first = rows[0];
  if (!first) return [];
  const mean = first.map((_, column) => rows.reduce((sum, row) => sum + row[column]!, 0) / rows.length);
  const centred = rows.map((row) => row.map((value, column) => value - mean[column]!));
  if (first.length <= 2) return scaled(centred.map((row) => [row[0] ?? 0, row[1] ?? 0]));
  const horizontal = component(centred, []);
  const vertical = component(centred, [horizontal]);
  return scaled(centred.map((row) => [dot(row, horizontal), dot(row, vertical)]));
}

/** Power iteration on the covariance, which is never written out. */
function component(rows: number[][], before: number[][]): number[] {
  let direction = rows[0]!.map((_, index) => Math.sin(index + 1 + before.length));
  for (let round = 0; round < ROUNDS; round += 1) {
    const next = direction.map(() => 0);
    for (const row of rows) {
      const along = dot(row, direction);
      for (let index = 0; index < row.length; index += 1) next[index] = next[index]! + along * row[index]!;
    }
    for (const other of before) {
      const along = dot(next, other);
      for (let index = 0; index < next.length; index += 1) next[index] = next[index]! - along * other[index]!;
    }
    const norm = Math.sqrt(dot(next, next));
    if (norm < 1e-12) return direction.map(() => 0);
    direction = next.map((value) => value / norm);
  }
  return direction;
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}

function scaled(points: [number, number][]): [number, number][] {
  const most = (axis: 0 | 1) => Math.max(1e-9, ...points.map((point) => Math.abs(point[axis])));
  const [x, y] = [most(0), most(1)];
  return points.map((point) => [point[0] / x, point[1] / y]);
}
