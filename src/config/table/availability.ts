/**
 * Settings that the Go proxy does not have: what becomes of a start that fails, when an instance counts as
 * ready, which nodes it uses, and by which port clients reach it.
 */
import type { Section } from '../definition.ts'

const localRack = <const Name extends 'origin' | 'target'>(name: Name) =>
  ({
    key: `${name}_local_rack`,
    type: 'string',
    default: '',
    status: 'active',
    description: `The rack (availability zone) whose nodes this instance uses, all of them, within the local datacenter; exact, case-sensitive. The datacenter's other nodes serve only while none of the rack's can be used. May differ between instances. Empty, or a rack that no local node is in: the instance's share of the datacenter's nodes, as with the Go proxy.`,
  }) as const

export const AVAILABILITY = {
  title: 'Start, readiness and topology (not in the Go proxy)',
  settings: [
    {
      key: 'startup_fail_fast',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Whether a failure of the start that waiting will not mend (refused credentials, an unknown datacenter in strict mode, a certificate that is not trusted …) ends the process, with exit status 3. If false, every failure is retried for ever, as with the Go proxy.',
    },
    {
      key: 'startup_timeout_ms',
      type: 'int',
      default: 0,
      min: 0,
      unit: 'ms',
      status: 'active',
      description:
        'How long the start may be tried before the process ends with exit status 4; 0 for ever.',
    },
    {
      key: 'readiness_policy',
      type: 'choice',
      default: 'both',
      choices: ['both', 'primary'],
      status: 'active',
      description:
        'Which clusters must be reached for readiness `UP`: both, as with the Go proxy, or the one that serves reads at that moment. See docs/operations.md before choosing `primary`: writes fail while the other cluster is away. A start needs both clusters always.',
    },
    {
      key: 'strict_local_datacenter',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Whether the start fails where `origin_local_datacenter` or `target_local_datacenter` names a datacenter that no node is in, or is empty while the cluster has several. If false, the datacenter of the first contact point in the list that is a node is used, with a warning.',
    },
    localRack('origin'),
    localRack('target'),
    {
      key: 'proxy_advertised_port',
      type: 'int',
      default: 0,
      min: 0,
      max: 65_535,
      status: 'active',
      description:
        'The port by which clients reach the instances, where it is not the one that they listen on (NAT, a port mapping, a Service of Kubernetes): drivers are told this one with `proxy_topology_addresses`. Equal on all instances. 0: `proxy_listen_port`.',
    },
    {
      key: 'proxy_topology_peers_v2',
      type: 'boolean',
      default: true,
      status: 'active',
      description:
        'Shows drivers `system.peers_v2` too, where the cluster has it; there each instance has its port. If false there is no such table, as with the Go proxy: drivers go by `system.peers`, and to all instances by the port of their contact points, which a Service or NAT may have translated (see `proxy_advertised_port`).',
    },
    {
      key: 'proxy_topology_events',
      type: 'boolean',
      default: true,
      status: 'active',
      description:
        'With several instances in `proxy_topology_addresses`: tells clients when one of them leaves or comes back. For that each instance looks every half second whether the others take connections. Set it to false as long as Go proxies are among them, which open connections to both clusters for each look and tell clients nothing.',
    },
  ],
} as const satisfies Section
