/**
 * The Java that runs Cassandra: which one, whether its version will do, and the options that
 * Cassandra needs from it (the JDK packages it reaches into, a small heap, a fast start).
 */
import { join } from 'node:path'
import { type CassandraVersion, ClusterError } from './cluster.ts'
import { runCommand } from './command.ts'

export const JAVA_MIN = 17
/** Later ones have no security manager any more, which both releases of Cassandra install. */
export const JAVA_MAX = 23

export const INSTALL_JAVA =
  'Install a JDK 17 or 21 and Maven (Debian: `apt install openjdk-17-jdk-headless maven`, macOS: ' +
  '`brew install openjdk@17 maven`), or set JAVA_HOME to one that is installed; or start a Docker engine.'

export interface Java {
  readonly program: string
  readonly majorVersion: number
}

/** From what `java -version` prints: `openjdk version "17.0.15" 2025-04-15`, `… "1.8.0_392"`. */
export const parseJavaVersion = (text: string): number | undefined => {
  const match = /version "(?:1\.)?(\d+)/.exec(text)
  return match === null ? undefined : Number(match[1])
}

export const checkJavaVersion = (majorVersion: number | undefined, program: string): number => {
  if (majorVersion !== undefined && majorVersion >= JAVA_MIN && majorVersion <= JAVA_MAX) {
    return majorVersion
  }
  throw new ClusterError(
    'JAVA_VERSION',
    `Cannot run Cassandra on ${program}: its version is ${majorVersion ?? 'not known'}, ` +
      `and ${JAVA_MIN} to ${JAVA_MAX} are supported. ${INSTALL_JAVA}`,
  )
}

/** Undefined if no Java is installed; throws if it is one that Cassandra does not run on. */
export const findJava = async (
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Java | undefined> => {
  const home = environment['JAVA_HOME']
  const programs =
    home === undefined || home === '' ? ['java'] : [join(home, 'bin', 'java'), 'java']
  for (const program of programs) {
    const result = await runCommand(program, ['-version'])
    if (result === undefined || result.exitCode !== 0) continue
    const majorVersion = checkJavaVersion(parseJavaVersion(result.lines.join('\n')), program)
    return { program, majorVersion }
  }
  return undefined
}

/** The packages that Cassandra reaches into by reflection, by module. */
const OPENED: Readonly<Record<string, readonly string[]>> = {
  'java.base': [
    'java.io',
    'java.lang',
    'java.lang.module',
    'java.lang.reflect',
    'java.math',
    'java.net',
    'java.nio',
    'java.util',
    'java.util.concurrent',
    'java.util.concurrent.atomic',
    'jdk.internal.loader',
    'jdk.internal.math',
    'jdk.internal.misc',
    'jdk.internal.module',
    'jdk.internal.ref',
    'jdk.internal.reflect',
    'jdk.internal.util',
    'jdk.internal.util.jar',
    'jdk.internal.vm',
    'sun.nio.ch',
  ],
  'java.management.rmi': ['com.sun.jmx.remote.internal.rmi'],
  'java.management': ['com.sun.jmx.remote.security'],
  'java.rmi': ['sun.rmi.registry', 'sun.rmi.server', 'sun.rmi.transport', 'sun.rmi.transport.tcp'],
  'java.sql': ['java.sql'],
  'java.logging': ['java.util.logging'],
  'jdk.management': ['com.sun.management.internal'],
  'jdk.compiler': ['com.sun.tools.javac.file'],
}

const MODULE_OPTIONS: readonly string[] = Object.entries(OPENED).flatMap(([module, packages]) =>
  packages.flatMap((name) => [
    `--add-exports=${module}/${name}=ALL-UNNAMED`,
    `--add-opens=${module}/${name}=ALL-UNNAMED`,
  ]),
)

export interface NodeFiles {
  readonly jarDirectory: string
  readonly jars: readonly string[]
  readonly directory: string
  readonly yamlPath: string
  readonly logbackPath: string
  /** It joins a ring that another node has begun. */
  readonly isJoining?: boolean
  /** It is never killed and started again. */
  readonly mayForgetSchema?: boolean
}

/** 4.1 measures memory with jamm, which has no other way in than as an agent on these JDKs. */
const agentOptions = (version: CassandraVersion, files: NodeFiles): string[] => {
  if (version !== '4.1') return []
  const jamm = files.jars.find((jar) => /^jamm-.*\.jar$/.test(jar))
  if (jamm === undefined) {
    throw new ClusterError(
      'JAR_MISSING',
      `Cannot start Cassandra ${version}: no jamm-*.jar in ${files.jarDirectory}. Delete that folder and start again.`,
    )
  }
  return [`-javaagent:${join(files.jarDirectory, jamm)}`]
}

/**
 * What the schemas of a whole run and values of 20 MiB need alive is 310 MiB. The optimizing compiler takes a fifth
 * of all CPU, which a node that lives for minutes does not earn back.
 */
const SMALL_AND_SOON_GONE = ['-Xms512M', '-Xmx1G', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/** Everything after `java` on the command line of one node. */
export const cassandraArguments = (
  version: CassandraVersion,
  java: Java,
  files: NodeFiles,
): string[] => [
  ...SMALL_AND_SOON_GONE,
  '-XX:-UsePerfData',
  '-XX:+ExitOnOutOfMemoryError',
  `-XX:ErrorFile=${join(files.directory, 'hs_err.log')}`,
  ...(java.majorVersion > 17 ? ['-Djava.security.manager=allow'] : []),
  ...agentOptions(version, files),
  ...MODULE_OPTIONS,
  '-Djdk.attach.allowAttachSelf=true',
  '-Djava.net.preferIPv4Stack=true',
  `-Djava.io.tmpdir=${join(files.directory, 'tmp')}`,
  `-Djna.tmpdir=${join(files.directory, 'tmp')}`,
  `-Dcassandra.config=file://${files.yamlPath}`,
  `-Dcassandra.storagedir=${files.directory}`,
  `-Dcassandra.logdir=${files.directory}`,
  `-Dlogback.configurationFile=${files.logbackPath}`,
  ...FAST_START,
  ...(files.isJoining === true ? [GREETING_TIME] : []),
  ...(files.mayForgetSchema === true ? [LIGHT_SCHEMA] : []),
  '-cp',
  join(files.jarDirectory, '*'),
  'org.apache.cassandra.service.CassandraDaemon',
]

/**
 * A change of the schema takes a third of the CPU where it is not flushed. A node that is killed has forgotten it then:
 * at a start the schema is read before the commit log.
 */
const LIGHT_SCHEMA = '-Dcassandra.test.flush_local_schema_changes=false'

/** 4.1 gives up after its ring delay when the seed has not greeted it: a busy machine takes seconds for that. */
const GREETING_TIME = '-Dcassandra.ring_delay_ms=10000'

/** Nobody else is on these addresses: there is no ring to wait for. */
export const FAST_START: readonly string[] = [
  '-Dcassandra-foreground=yes',
  '-Dcassandra.ring_delay_ms=100',
  '-Dcassandra.shadow_round_ms=30000',
  '-Dcassandra.skip_wait_for_gossip_to_settle=0',
  '-Dcassandra.superuser_setup_delay_ms=0',
]
