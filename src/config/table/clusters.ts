/** The settings of one cluster, which Origin and Target have alike (operations §1.3). */
import type { Section } from '../definition.ts'

const addressSettings = <const Name extends 'origin' | 'target'>(name: Name) =>
  [
    {
      key: `${name}_contact_points`,
      type: 'list',
      default: [],
      format: 'contact points',
      status: 'active',
      description: 'Nodes to begin with: host names, IPv4 or IPv6 addresses, without ports.',
    },
    {
      key: `${name}_port`,
      type: 'int',
      default: 9042,
      min: 0,
      max: 65_535,
      status: 'active',
      description:
        'The native protocol port of every node of the cluster. It may be 0 beside a bundle, which says it.',
    },
    {
      key: `${name}_secure_connect_bundle_path`,
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        'Secure Connect Bundle of an Astra database (a zip file), instead of contact points, local datacenter and TLS files.',
    },
    {
      key: `${name}_local_datacenter`,
      type: 'string',
      default: '',
      status: 'active',
      description:
        'The datacenter whose nodes get the requests, in its exact spelling. Empty, or one that no node is in: that of the first contact point in the list that is the address of a node, else that of the node which answered; with a warning where the cluster has several. See `strict_local_datacenter`.',
    },
  ] as const

const accessSettings = <const Name extends 'origin' | 'target'>(name: Name) =>
  [
    {
      key: `${name}_username`,
      type: 'string',
      default: '',
      isRequiredInEnvironment: true,
      status: 'active',
      description: "The proxy's own user. Empty where the cluster asks for none.",
    },
    {
      key: `${name}_password`,
      type: 'string',
      default: '',
      isSecret: true,
      isRequiredInEnvironment: true,
      status: 'active',
      description: "The password of the proxy's own user. Never logged.",
    },
    {
      key: `${name}_connection_timeout_ms`,
      type: 'int',
      default: 30_000,
      min: 1,
      unit: 'ms',
      status: 'active',
      description: 'How long opening a connection to a node may take.',
    },
  ] as const

const tlsSettings = <const Name extends 'origin' | 'target'>(name: Name) =>
  [
    {
      key: `${name}_tls_server_ca_path`,
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description: `Certificate authority of the nodes (PEM), trusted beside the well-known ones (see \`${name}_tls_private_roots_only\`). Alone: one-way TLS. With certificate and key: mutual TLS. Read again when it changes.`,
    },
    {
      key: `${name}_tls_client_cert_path`,
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description:
        "The proxy's certificate chain for mutual TLS (PEM), its own certificate first. Read again when it changes.",
    },
    {
      key: `${name}_tls_client_key_path`,
      type: 'string',
      default: '',
      format: 'path',
      status: 'active',
      description: "The private key of the proxy's certificate (PEM). Read again when it changes.",
    },
  ] as const

export const ORIGIN = {
  title: 'Origin',
  settings: [...addressSettings('origin'), ...accessSettings('origin'), ...tlsSettings('origin')],
} as const satisfies Section

export const TARGET = {
  title: 'Target',
  settings: [...addressSettings('target'), ...accessSettings('target'), ...tlsSettings('target')],
} as const satisfies Section

const hostAssignment = <const Name extends 'origin' | 'target'>(name: Name) =>
  ({
    key: `${name}_enable_host_assignment`,
    type: 'boolean',
    default: true,
    status: 'active',
    description:
      'Spreads requests over the nodes of the datacenter. If false, all go to the node of the control connection.',
  }) as const

export const ROUTING = {
  title: 'Routing details',
  settings: [
    {
      key: 'system_queries_mode',
      type: 'choice',
      default: 'ORIGIN',
      choices: ['ORIGIN', 'TARGET'],
      status: 'active',
      description:
        'The cluster that answers reads of system tables which the proxy does not answer itself. Traces (`system_traces`) are read from the primary, whose answers and tracing ids clients get.',
    },
    {
      key: 'forward_client_credentials_to_origin',
      type: 'boolean',
      default: false,
      status: 'active',
      description:
        'Where both clusters authenticate: the client presents a user of Origin instead of one of Target.',
    },
    hostAssignment('origin'),
    hostAssignment('target'),
  ],
} as const satisfies Section
