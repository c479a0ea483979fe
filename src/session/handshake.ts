/**
 * A client's handshake (request-path §9): OPTIONS, STARTUP, SASL. Strictly one message at a time.
 * Where a cluster asks for credentials the client's own handshake is carried out for real, on a
 * fresh connection that then joins its profile's pool; where it asks for none the pool answers.
 *
 *   waiting ──STARTUP, nobody asks──► READY
 *      │
 *      └──STARTUP──► AUTHENTICATE ──AUTH_RESPONSE──► AUTH_CHALLENGE … ──► AUTH_SUCCESS
 *                        ▲                │
 *                        └── refused ◄────┘
 */
import { Compression, compressionNamed } from '../cql/compression.ts'
import { HEADER_LENGTH, OPCODE_OFFSET, readStreamId } from '../cql/envelope.ts'
import { ProtocolError } from '../cql/errors.ts'
import { decodeAuthResponse } from '../cql/messages/auth-response.ts'
import { decodeStartup } from '../cql/messages/startup.ts'
import { encodeSupported } from '../cql/messages/supported.ts'
import {
  ErrorCode,
  Opcode,
  opcodeName,
  type VersionTraits,
  versionTraits,
} from '../cql/protocol.ts'
import { BodyReader } from '../cql/reader.ts'
import { BodyWriter } from '../cql/writer.ts'
import { CLUSTERS, Cluster, otherCluster } from '../routing/cluster.ts'
import type { CallAnswer, UpstreamConnection } from '../upstream/connection.ts'
import { ClusterError, ClusterErrorCode, isAboutCredentials } from '../upstream/errors.ts'
import { authenticate, otherMechanism, respond, startUp } from '../upstream/handshake.ts'
import type { Profile } from '../upstream/profile.ts'
import { decodePlainToken, encodePlainToken, isMechanismChoice } from '../upstream/sasl.ts'
import type { SessionContext } from './context.ts'
import { type Identity, identityFor, nobodyError, whoseText } from './identities.ts'
import { clusterErrorEnvelope, errorEnvelope, negativeStreamId, replyEnvelope } from './replies.ts'
import type { Session } from './session.ts'

/** What a client may send before it is told READY, together. */
const INBOX_BYTES_MAX = 256 * 1024

type Fresh = { readonly connection: UpstreamConnection; readonly answer: CallAnswer }

/** A SASL dialogue under way, between its AUTHENTICATE and its end. */
type Dialogue = {
  /** The cluster whose authenticator speaks to the client. */
  readonly speaker: Cluster
  readonly fresh: readonly [Fresh | null, Fresh | null]
  readonly options: ReadonlyMap<string, string>
  /** As whom the proxy signs in to each cluster; null before the client has said who it is. */
  readonly identities: [Identity | null, Identity | null]
}

export class Handshake {
  readonly #session: Session
  readonly #context: SessionContext
  #inbox: Uint8Array[] = []
  #inboxBytes = 0
  #isBusy = false
  /** Of the message that is still to be answered. */
  #streamId: number | null = null
  /** Clusters that the answer waits for. */
  readonly #awaited: [boolean, boolean] = [false, false]
  /** The client is gone, or its time is over. */
  #isOver = false
  #dialogue: Dialogue | null = null
  /** The STARTUP whose credentials were refused last: the client may come with others. */
  #refusedStartup: ReadonlyMap<string, string> | null = null

  constructor(session: Session, context: SessionContext) {
    this.#session = session
    this.#context = context
  }

  /** Takes one envelope, a copy of its own. */
  take(envelope: Uint8Array): void {
    this.#inboxBytes += envelope.length
    if (this.#inboxBytes > INBOX_BYTES_MAX) {
      throw new ProtocolError(
        'HANDSHAKE_TOO_MUCH',
        'Too many requests before the connection is ready',
      )
    }
    this.#inbox.push(envelope)
    if (!this.#isBusy) {
      this.#isBusy = true
      this.#work().catch((error: unknown) => this.#context.onInvariantBroken(this.#session, error))
    }
  }

  /** The client is gone: what was opened for it is closed. */
  abandon(): void {
    this.#isOver = true
    this.#forgetDialogue()
    this.#inbox = []
  }

  /**
   * The client's time is over. Returns whether it was a cluster that took it, which is told like any other
   * that turns a client away, to the client too.
   */
  expire(): boolean {
    const streamId = this.#streamId
    const late = streamId === null ? [] : CLUSTERS.filter((cluster) => this.#awaited[cluster])
    const errors = late.map((cluster) => this.#lateError(cluster))
    for (const error of errors.slice(1)) this.#context.onHandshakeFailed(this.#session, error)
    if (errors.length > 0) this.#refuse(streamId!, errors[0])
    this.abandon()
    return errors.length > 0
  }

  #lateError(cluster: Cluster): ClusterError {
    const { handshakeTimeoutMs } = this.#context.settings
    return new ClusterError(
      ClusterErrorCode.CONNECT_FAILED,
      cluster,
      `no connection was ready within the ${handshakeTimeoutMs} ms that a client's handshake may take`,
    )
  }

  async #work(): Promise<void> {
    for (;;) {
      const envelope = this.#inbox.shift()
      if (envelope === undefined || this.#isOver) break
      this.#inboxBytes -= envelope.length
      if (this.#session.state === 'ready') {
        this.#context.dispatcher.dispatch(this.#session, envelope, 0, envelope.length)
      } else {
        await this.#handle(envelope)
      }
    }
    this.#isBusy = false
  }

  async #handle(envelope: Uint8Array): Promise<void> {
    const session = this.#session
    const streamId = readStreamId(envelope, 0)
    const traits = versionTraits(envelope[0]!)!
    session.traits ??= traits
    this.#streamId = streamId
    try {
      this.#checkHeader(traits, streamId)
      const message = session.readable(envelope)
      switch (message[OPCODE_OFFSET]) {
        case Opcode.OPTIONS:
          session.reply(streamId, this.#supported(traits.version))
          break
        case Opcode.STARTUP:
          session.traits = traits
          await this.#startup(message, streamId, traits)
          break
        case Opcode.AUTH_RESPONSE:
          await this.#authResponse(message, streamId)
          break
        default:
          session.reply(streamId, unexpected(traits.version, message[OPCODE_OFFSET]!))
      }
    } catch (error) {
      const dialogue = this.#dialogue
      const mayTryAgain = isAboutCredentials(error)
      const told = mayTryAgain && dialogue !== null ? explained(error, dialogue) : error
      this.#forgetDialogue()
      this.#refusedStartup = mayTryAgain ? (dialogue?.options ?? null) : null
      this.#refuse(streamId, told)
    } finally {
      this.#streamId = null
    }
  }

  #checkHeader(traits: VersionTraits, streamId: number): void {
    const { isFramed, traits: current } = this.#session
    if (streamId < 0) throw negativeStreamId(streamId)
    // Frames cannot be taken back, and only one version has them.
    if (isFramed && traits !== current) throw versionChanged(traits.version, current!.version)
  }

  #supported(version: number): Uint8Array {
    const body = encodeSupported(new BodyWriter(), this.#context.snapshot.supported)
    return replyEnvelope(version, Opcode.SUPPORTED, body)
  }

  async #startup(envelope: Uint8Array, streamId: number, traits: VersionTraits): Promise<void> {
    this.#forgetDialogue()
    this.#session.compression = null
    const offered = this.#context.snapshot.supported.get('COMPRESSION')
    const { options, compression } = startupOptions(envelope, traits, offered)
    this.#session.compression = compression
    this.#choosePreferredNodes()
    const { clusters } = this.#context.snapshot
    if (CLUSTERS.every((cluster) => !clusters[cluster].requiresAuthentication)) {
      await this.#finish(this.#profile(traits, options, [null, null]), streamId, null)
      return
    }
    const dialogue = await this.#openDialogue(traits, options)
    if (dialogue === null) return
    const first = dialogue.fresh[dialogue.speaker]!.answer
    if (first.opcode === Opcode.AUTHENTICATE) {
      this.#session.reply(streamId, first.envelope)
      this.#session.startFrames()
    } else {
      // It asked when the control connection was opened and does not any more.
      await this.#completeDialogue(dialogue, streamId, null)
    }
  }

  /** STARTUP on a fresh connection to each cluster that asks for credentials; null: the client is gone. */
  async #openDialogue(
    traits: VersionTraits,
    options: ReadonlyMap<string, string>,
  ): Promise<Dialogue | null> {
    const { clusters } = this.#context.snapshot
    const asks = CLUSTERS.map((cluster) => clusters[cluster].requiresAuthentication)
    const profile = this.#profile(traits, options, [null, null])
    const opened = await Promise.allSettled(
      CLUSTERS.map((cluster) =>
        asks[cluster] ? this.#waitFor(cluster, this.#openFresh(cluster, profile)) : null,
      ),
    )
    const results = opened.map((result) => (result.status === 'fulfilled' ? result.value : null))
    const fresh = [results[0] ?? null, results[1] ?? null] as const
    const dialogue: Dialogue = {
      // Origin's authenticator speaks to the client, unless only Target has one (request-path §9.1).
      speaker: isAsking(fresh[0]) || fresh[1] === null ? Cluster.ORIGIN : Cluster.TARGET,
      fresh,
      options,
      identities: [null, null],
    }
    const failure = opened.find((result) => result.status === 'rejected')
    if (failure !== undefined || this.#isOver) {
      this.#closeFresh(dialogue)
      if (failure !== undefined) throw failure.reason
      return null
    }
    this.#dialogue = dialogue
    return dialogue
  }

  async #openFresh(cluster: Cluster, profile: Profile): Promise<Fresh> {
    const preferred = this.#session.preferredNode[cluster]
    const connection = await this.#context.openForHandshake(cluster, preferred, profile)
    try {
      return { connection, answer: await startUp(connection, profile.startupOptions) }
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  /** One SASL message of the client: relayed to the cluster whose authenticator it talks to. */
  async #authResponse(envelope: Uint8Array, streamId: number): Promise<void> {
    const traits = this.#session.traits!
    if (this.#dialogue === null && this.#refusedStartup === null) {
      this.#session.reply(streamId, unexpected(traits.version, Opcode.AUTH_RESPONSE))
      return
    }
    // One of the two clusters may have accepted before the other refused: both begin anew.
    const dialogue = this.#dialogue ?? (await this.#openDialogue(traits, this.#refusedStartup!))
    if (dialogue === null) return
    const token = decodeAuthResponse(new BodyReader(envelope, HEADER_LENGTH))
    const fresh = dialogue.fresh[dialogue.speaker]!
    const own = isMechanismChoice(token) ? token : await this.#deal(dialogue, token!)
    const answer = await this.#waitFor(dialogue.speaker, respond(fresh.connection, own))
    if (answer.opcode === Opcode.AUTH_CHALLENGE) {
      // It is not the client's to answer for somebody else.
      if (own !== token) throw otherMechanism(fresh.connection, fresh.answer)
      this.#session.reply(streamId, answer.envelope)
      return
    }
    await this.#completeDialogue(dialogue, streamId, answer)
  }

  /**
   * Whose credentials go where (request-path §9.1); resolves with the token for the cluster that the
   * client talks to. With both clusters asking, the client's are Target's unless the settings
   * forward them to Origin, and those of its entry in the map, or the configured ones, serve the other.
   */
  async #deal(dialogue: Dialogue, token: Uint8Array): Promise<Uint8Array> {
    const { speaker, identities } = dialogue
    const client = decodePlainToken(token)
    if (client === null) {
      throw new ClusterError(
        ClusterErrorCode.MECHANISM,
        speaker,
        'the proxy understands SASL PLAIN (user name and password) only',
      )
    }
    const { settings } = this.#context
    // By what the nodes have said just now: nobody else verifies the client's password.
    const bothAsk = dialogue.fresh.every(isAsking)
    const clients =
      bothAsk && !settings.forwardsClientCredentialsToOrigin ? Cluster.TARGET : speaker
    identities[clients] = { credentials: client, whose: 'client' }
    const other = otherCluster(clients)
    const { credentialsMap, credentials } = settings
    // Also where that cluster did not ask: a node of it may, after a restart, before all of them do.
    identities[other] = identityFor(client.username, credentialsMap, credentials[other])
    if (clients === speaker) return token
    const identity = identities[speaker]
    if (identity !== null) return encodePlainToken(identity.credentials)
    // Who is in the map is told to those only who have shown a password.
    await this.#signIn(dialogue, clients)
    throw this.#nobody(dialogue, speaker)
  }

  /** The proxy's own side of the dialogue with a cluster that the client does not talk to. */
  async #signIn(dialogue: Dialogue, cluster: Cluster): Promise<void> {
    const fresh = dialogue.fresh[cluster]
    if (!isAsking(fresh)) return
    const identity = dialogue.identities[cluster]
    if (identity === null) throw this.#nobody(dialogue, cluster)
    const { connection, answer } = fresh
    await this.#waitFor(cluster, authenticate(connection, answer, identity.credentials))
  }

  #nobody({ identities }: Dialogue, cluster: Cluster): ClusterError {
    const client = identities[otherCluster(cluster)]?.credentials ?? null
    return nobodyError(cluster, client, this.#context.settings.credentialsMap)
  }

  /** The client's own dialogue has succeeded; the other cluster's follows, then both join the pools. */
  async #completeDialogue(
    dialogue: Dialogue,
    streamId: number,
    success: CallAnswer | null,
  ): Promise<void> {
    await this.#signIn(dialogue, otherCluster(dialogue.speaker))
    const [origin, target] = dialogue.identities
    const client = dialogue.identities.find((identity) => identity?.whose === 'client')
    this.#session.user = client?.credentials.username ?? ''
    const credentials = [origin?.credentials ?? null, target?.credentials ?? null] as const
    const profile = this.#profile(this.#session.traits!, dialogue.options, credentials)
    this.#dialogue = null
    await this.#finish(profile, streamId, success?.envelope ?? null, dialogue.fresh)
  }

  async #finish(
    profile: Profile,
    streamId: number,
    success: Uint8Array | null,
    fresh: Dialogue['fresh'] = [null, null],
  ): Promise<void> {
    const { profiles, turn } = this.#context
    const session = this.#session
    const entry = profiles.acquire(profile)
    try {
      for (const cluster of CLUSTERS) {
        const own = fresh[cluster]
        if (own === null) continue
        entry.pools[cluster].adopt(own.connection)
      }
      await Promise.all(
        CLUSTERS.map((cluster) =>
          this.#waitFor(cluster, entry.pools[cluster].ready(session.preferredNode[cluster])),
        ),
      )
    } catch (error) {
      profiles.release(entry, turn.nowMs)
      throw error
    }
    if (this.#isOver) {
      profiles.release(entry, turn.nowMs)
      return
    }
    const ready = (): Uint8Array =>
      replyEnvelope(profile.traits.version, Opcode.READY, new BodyWriter())
    session.reply(streamId, success ?? ready())
    session.startFrames()
    session.becomeReady(entry)
  }

  /** For as long as the answer waits for the cluster. */
  async #waitFor<T>(cluster: Cluster, work: Promise<T>): Promise<T> {
    this.#awaited[cluster] = true
    try {
      return await work
    } finally {
      this.#awaited[cluster] = false
    }
  }

  #profile(
    traits: VersionTraits,
    startupOptions: ReadonlyMap<string, string>,
    credentials: Profile['credentials'],
  ): Profile {
    const isExclusive = this.#context.settings.upstreamConnections === 'per_client'
    const exclusiveTo = isExclusive ? this.#session.id : null
    return { traits, startupOptions, credentials, keyspace: null, exclusiveTo }
  }

  #choosePreferredNodes(): void {
    for (const cluster of CLUSTERS) {
      this.#session.preferredNode[cluster] = this.#context.nextPreferredNode(cluster)
    }
  }

  /** A version that a cluster does not speak is refused on stream 0, as drivers expect. */
  #refuse(streamId: number, error: unknown): void {
    if (this.#isOver) return
    const version = this.#session.traits?.version ?? this.#context.snapshot.errorVersion
    const isVersion = error instanceof ClusterError && error.code === ClusterErrorCode.VERSION
    this.#context.onHandshakeFailed(this.#session, error)
    this.#session.reply(isVersion ? 0 : streamId, clusterErrorEnvelope(version, error))
  }

  #forgetDialogue(): void {
    if (this.#dialogue !== null) this.#closeFresh(this.#dialogue)
    this.#dialogue = null
    this.#refusedStartup = null
  }

  #closeFresh(dialogue: Dialogue): void {
    for (const fresh of dialogue.fresh) fresh?.connection.destroy()
  }
}

/** A node's refusal, and whose credentials it has refused. */
const explained = (error: ClusterError, { identities }: Dialogue): ClusterError => {
  const { cluster, code, detail, envelope } = error
  const refused = identities[cluster]
  if (refused === null || envelope === null) return error
  const text = `${detail} (${whoseText(refused, cluster)})`
  return new ClusterError(code, cluster, text, { cause: error, envelope })
}

/** A node may not ask although its cluster does: authentication is switched on and off node by node. */
const isAsking = (fresh: Fresh | null): fresh is Fresh =>
  fresh?.answer.opcode === Opcode.AUTHENTICATE

const unexpected = (version: number, opcode: number): Uint8Array =>
  errorEnvelope(version, {
    code: ErrorCode.PROTOCOL_ERROR,
    message: `Unexpected message ${opcodeName(opcode)}, expecting STARTUP or OPTIONS`,
  })

const versionChanged = (version: number, current: number): ProtocolError =>
  new ProtocolError(
    'ENVELOPE_VERSION_CHANGED',
    `Invalid message version. Got ${version} but previous messages on this connection had version ${current}`,
  )

type StartupOptions = {
  readonly options: ReadonlyMap<string, string>
  readonly compression: Compression | null
}

/**
 * A STARTUP's options as they go to the clusters, COMPRESSION in the one spelling that makes equal
 * profiles equal. Throws ProtocolError where they cannot.
 */
const startupOptions = (
  envelope: Uint8Array,
  traits: VersionTraits,
  offered: readonly string[] | undefined,
): StartupOptions => {
  const options = decodeStartup(new BodyReader(envelope, HEADER_LENGTH))
  let hasCqlVersion = false
  let compression: Compression | null = null
  for (const [name, value] of [...options]) {
    const upperName = name.toUpperCase()
    if (upperName === 'CQL_VERSION') hasCqlVersion = true
    if (upperName !== 'COMPRESSION') continue
    options.delete(name)
    // Drivers that we know of leave it out; Cassandra refuses the word.
    if (value.toUpperCase() === 'NONE') continue
    compression = usableCompression(value, traits, offered)
    options.set(upperName, compression)
  }
  if (hasCqlVersion) return { options, compression }
  throw new ProtocolError('STARTUP_CQL_VERSION', 'Missing value CQL_VERSION in STARTUP message')
}

/** `offered` are the algorithms in SUPPORTED; undefined where the clusters do not tell theirs. */
const usableCompression = (
  name: string,
  traits: VersionTraits,
  offered: readonly string[] | undefined,
): Compression => {
  const compression = compressionNamed(name)
  if (compression === null) throw badCompression(`Unknown compression algorithm: ${name}`)
  if (traits.hasFrames && compression !== Compression.LZ4) {
    throw badCompression('Snappy compression is not supported in protocol V5')
  }
  if (offered === undefined || offered.includes(compression)) return compression
  const both = offered.length === 0 ? 'none' : offered.join(', ')
  throw badCompression(
    `Unknown compression algorithm: ${name}; Origin and Target have in common: ${both}`,
  )
}

const badCompression = (message: string): ProtocolError =>
  new ProtocolError('STARTUP_COMPRESSION', message)
