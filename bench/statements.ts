/**
 * The two statements that the load is made of, as the load generator sends them and the fake cluster
 * recognises them. Keys are texts of eight characters, counted up; values are one byte repeated.
 */

export const KEYSPACE = 'bench'
export const TABLE = 'kv'

export const PREPARED_READ = 'SELECT v FROM bench.kv WHERE k = ?'
export const PREPARED_WRITE = 'INSERT INTO bench.kv (k, v) VALUES (?, ?)'

/** Stands where the key goes, to be overwritten in each copy. */
export const KEY_PLACEHOLDER = 'k0000000'

/** Every read by text begins so. */
export const TEXT_READ_PREFIX = 'SELECT v FROM bench.kv '
export const textRead = (key: string): string => `SELECT v FROM bench.kv WHERE k = '${key}'`
export const textWrite = (key: string, value: string): string =>
  `INSERT INTO bench.kv (k, v) VALUES ('${key}', '${value}')`

/** What reads find is made of the letter of the cluster that answers, so that both can be told apart. */
export const ORIGIN_MARK = 'o'
export const TARGET_MARK = 't'
