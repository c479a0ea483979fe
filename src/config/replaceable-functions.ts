/** The functions that `replace_cql_functions_list` can name, as src/statement/functions.ts knows them. */
export const REPLACEABLE_FUNCTIONS = [
  'now',
  'uuid',
  'currentTimeUUID',
  'currentTimestamp',
  'currentDate',
  'currentTime',
] as const
