/**
 * Changes to one envelope, collected as its bytes are walked and carried out at once into a new one;
 * the old bytes stay. What is not named is copied byte for byte.
 */
import { readBodyLength, writeBodyLength } from './envelope.ts'

export class EnvelopeEdits {
  /** [from, to, replacement] in rising order, offsets into the old bytes. */
  readonly #edits: (readonly [number, number, Uint8Array])[] = []

  get isEmpty(): boolean {
    return this.#edits.length === 0
  }

  /** Puts `replacement` in the place of `[from, to)`; from ≥ the end of the edit before. */
  replace(from: number, to: number, replacement: Uint8Array): void {
    this.#edits.push([from, to, replacement])
  }

  /** The envelope `bytes[start, end)` with all changes, its body's length set right. */
  apply(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const grownBy = this.#edits.reduce(
      (sum, [from, to, text]) => sum + text.length - (to - from),
      0,
    )
    const edited = new Uint8Array(end - start + grownBy)
    let copied = start
    let at = 0
    const copy = (part: Uint8Array): void => {
      edited.set(part, at)
      at += part.length
    }
    for (const [from, to, replacement] of this.#edits) {
      copy(bytes.subarray(copied, from))
      copy(replacement)
      copied = to
    }
    copy(bytes.subarray(copied, end))
    writeBodyLength(edited, 0, readBodyLength(bytes, start) + grownBy)
    return edited
  }
}
