/** What was thrown, as text for people: anything can be thrown, most of it is an Error. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown)
