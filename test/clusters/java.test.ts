import { describe, expect, test } from 'vitest'
import {
  cassandraArguments,
  checkJavaVersion,
  type NodeFiles,
  parseJavaVersion,
} from '../../clusters/java.ts'

describe('the version of Java', () => {
  test.each([
    { text: 'openjdk version "17.0.15" 2025-04-15', version: 17 },
    { text: 'openjdk version "21" 2023-09-19', version: 21 },
    { text: 'java version "1.8.0_392"', version: 8 },
    {
      text: 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15',
      version: 11,
    },
    { text: 'command not found', version: undefined },
  ])('$text → $version', ({ text, version }) => {
    expect(parseJavaVersion(text)).toBe(version)
  })

  test.each([17, 21, 23])('%i will do', (version) => {
    expect(checkJavaVersion(version, 'java')).toBe(version)
  })

  test.each([8, 11, 16, 24, undefined])('%s is refused with what to install', (version) => {
    expect(() => checkJavaVersion(version, '/opt/java')).toThrow(/\/opt\/java.*17 to 23.*Install/)
  })
})

const FILES: NodeFiles = {
  jarDirectory: '/cache/4.1.10',
  jars: ['cassandra-all-4.1.10.jar', 'jamm-0.3.2.jar'],
  directory: '/tmp/node',
  yamlPath: '/tmp/node/cassandra.yaml',
  logbackPath: '/tmp/node/logback.xml',
}

const java = (majorVersion: number) => ({ program: 'java', majorVersion })

describe('the command line of a node', () => {
  test('4.1 has jamm as its agent, 5.0 has none', () => {
    const agent = '-javaagent:/cache/4.1.10/jamm-0.3.2.jar'
    expect(cassandraArguments('4.1', java(17), FILES)).toContain(agent)
    expect(cassandraArguments('5.0', java(17), FILES).join(' ')).not.toContain('-javaagent')
  })

  test('4.1 without a jamm in the cache does not start', () => {
    const files = { ...FILES, jars: ['cassandra-all-4.1.10.jar'] }
    expect(() => cassandraArguments('4.1', java(17), files)).toThrow(/jamm.*\/cache\/4\.1\.10/)
  })

  test('allows a security manager where Java must be told to', () => {
    const allow = '-Djava.security.manager=allow'
    expect(cassandraArguments('5.0', java(17), FILES)).not.toContain(allow)
    expect(cassandraArguments('5.0', java(21), FILES)).toContain(allow)
  })

  test('opens packages, names its files, and ends with the class to run', () => {
    const args = cassandraArguments('5.0', java(17), FILES)
    expect(args).toContain('--add-opens=java.base/java.nio=ALL-UNNAMED')
    expect(args).toContain('--add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED')
    expect(args).toContain('-Dcassandra.config=file:///tmp/node/cassandra.yaml')
    expect(args.slice(-3)).toEqual([
      '-cp',
      '/cache/4.1.10/*',
      'org.apache.cassandra.service.CassandraDaemon',
    ])
  })
})
