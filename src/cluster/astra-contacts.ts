/**
 * The nodes of an Astra database: all behind one router, each under its host id as the server name
 * (operations §7.3). Where the router is and which nodes to begin with is what the metadata service
 * said last.
 */
import type { Clock } from '../clock.ts'
import type { Endpoint } from '../upstream/connection.ts'
import { type AstraMetadata, fetchAstraMetadata, type MetadataService } from './astra-metadata.ts'
import type { Contacts, HostPlace } from './contacts.ts'

export class AstraContacts implements Contacts {
  readonly refresh: (signal: AbortSignal) => Promise<void>
  #metadata: AstraMetadata

  private constructor(service: () => MetadataService, clock: Clock, metadata: AstraMetadata) {
    this.#metadata = metadata
    this.refresh = async (signal) => {
      this.#metadata = await fetchAstraMetadata(service(), clock, signal)
    }
  }

  /** Asks the metadata service, which may be another one after the bundle was replaced. */
  static async open(
    service: () => MetadataService,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<AstraContacts> {
    const metadata = await fetchAstraMetadata(service(), clock, signal)
    return new AstraContacts(service, clock, metadata)
  }

  get localDatacenter(): string | null {
    return this.#metadata.localDatacenter
  }

  endpoints(): readonly Endpoint[] {
    return this.#metadata.hostIds.map((hostId) => this.#behindRouter(hostId))
  }

  places(): Promise<readonly Endpoint[]> {
    return Promise.resolve(this.endpoints())
  }

  endpointOf({ hostId }: HostPlace): Endpoint {
    return this.#behindRouter(hostId)
  }

  #behindRouter(hostId: string): Endpoint {
    return { ...this.#metadata.router, serverName: hostId }
  }
}
