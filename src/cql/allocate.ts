/** Memory for bytes that are copied into it at once: filling it with zeros first would cost as much again. */

/** `length` bytes of any content, not shared with anything else. Who asks writes before anybody reads. */
export const allocateUnfilled = (length: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
