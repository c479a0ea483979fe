import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { cassandraYaml, type NodePlace } from '../../clusters/cassandra-yaml.ts'
import type { ClusterSpec } from '../../clusters/cluster.ts'

const PLACE: NodePlace = {
  address: '127.0.0.9',
  seed: '127.0.0.8',
  nativePort: 9042,
  storagePort: 7000,
  dataDirectory: '/data/node',
}

const settingsOf = (spec: Partial<ClusterSpec>): unknown =>
  parse(cassandraYaml({ name: 'origin', version: '4.1', ...spec }, PLACE))

describe('cassandra.yaml', () => {
  test('listens on its own address only and gossips with the seed', () => {
    expect(settingsOf({})).toMatchObject({
      cluster_name: 'origin',
      listen_address: '127.0.0.9',
      rpc_address: '127.0.0.9',
      native_transport_port: 9042,
      storage_port: 7000,
      seed_provider: [{ parameters: [{ seeds: '127.0.0.8:7000' }] }],
    })
  })

  test('every directory is under the given one', () => {
    const settings = Object.entries(settingsOf({}) as Record<string, unknown>)
    const directories = settings.filter(([name]) => /director(y|ies)$/.test(name))
    expect(directories.map(([name]) => name).sort()).toEqual([
      'cdc_raw_directory',
      'commitlog_directory',
      'data_file_directories',
      'hints_directory',
      'saved_caches_directory',
    ])
    for (const [, path] of directories) expect([path].flat()[0]).toMatch(/^\/data\/node\//)
  })

  test('asks for credentials only if it is told to', () => {
    expect(settingsOf({})).not.toHaveProperty('authenticator')
    expect(settingsOf({ authentication: true })).toMatchObject({
      authenticator: 'PasswordAuthenticator',
      authorizer: 'CassandraAuthorizer',
    })
  })

  test('settings of the caller win', () => {
    const yaml = { num_tokens: 1, client_encryption_options: { enabled: true } }
    expect(settingsOf({ yaml })).toMatchObject(yaml)
  })
})
