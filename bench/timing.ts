// Rounds, medians, ratios: the same for every benchmark. Contenders take turns inside a round, so that a drift of the
// machine's speed meets all of them alike.

export interface Contender {
  name: string
  /** Runs one measurement and answers its figure (microseconds per operation, or seconds). */
  run(round: number): Promise<number> | number
}

export interface Row {
  what: string
  unit: string
  /** Median figure by contender. */
  medians: Record<string, number>
  rounds: Record<string, number[]>
  /** True when a larger figure is the better one. */
  higherIsBetter: boolean
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `rounds` rounds after one that is not counted. */
export async function measure(
  what: string,
  unit: string,
  contenders: Contender[],
  rounds: number,
  higherIsBetter = false,
): Promise<Row> {
  const figures: Record<string, number[]> = Object.fromEntries(contenders.map((c) => [c.name, []]))
  for (let round = 0; round <= rounds; round++)
    for (const contender of contenders) {
      const figure = await contender.run(round)
      if (round > 0) figures[contender.name].push(figure)
    }
  const medians = Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, median(list)]))
  return told({ what, unit, medians, rounds: figures, higherIsBetter })
}

/** A row of figures that were measured once each. */
export function once(what: string, unit: string, figures: Record<string, number>): Row {
  const rounds = Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, [figure]]))
  return told({ what, unit, medians: figures, rounds, higherIsBetter: false })
}

/** Prints it. */
export function told(row: Row): Row {
  console.log(rowText(row, Object.keys(row.medians)[0]))
  return row
}

/** `create 4 KiB   peerdrive 210 µs   bindfs 380 µs (0.55×) …`: the ratio is the first contender's figure to the other's. */
export function rowText(row: Row, first: string): string {
  const cells = Object.entries(row.medians).map(([name, value]) => {
    const ratio = name === first ? '' : ` (${(row.medians[first] / value).toFixed(2)}×)`
    return `${name} ${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${row.unit}${ratio}`
  })
  return `${row.what.padEnd(34)}${cells.map((c) => c.padEnd(30)).join('')}`
}
