/** Finds the name that somebody probably meant. */

/** Further apart than this share of its letters, a name is another one. */
const DISTANCE_SHARE_MAX = 0.25
const DISTANCE_MIN = 2

/** Letters put in, left out, exchanged, or swapped with their neighbour, to get from one to the other. */
export const editDistance = (from: string, to: string): number => {
  let beforePrevious: number[] = []
  let previous = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current.push(
        Math.min(
          previous[column]! + 1,
          current[column - 1]! + 1,
          previous[column - 1]! + (isSame ? 0 : 1),
          isSwapped ? beforePrevious[column - 2]! + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    beforePrevious = previous
    previous = current
  }
  return previous[to.length]!
}

/** The known name that is nearest, the first of several; null where none is near. */
export const nearestName = (name: string, known: readonly string[]): string | null => {
  let nearest: string | null = null
  let distanceMax = Math.max(DISTANCE_MIN, Math.floor(name.length * DISTANCE_SHARE_MAX)) + 1
  for (const candidate of known) {
    const distance = editDistance(name, candidate)
    if (distance >= distanceMax) continue
    nearest = candidate
    distanceMax = distance
  }
  return nearest
}
