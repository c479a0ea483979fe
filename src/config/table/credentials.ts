/**
 * Where names and passwords come from, beside the settings that hold them as text, and which user of the
 * other cluster stands for a client's (operations §11 A3, S3).
 */
import type { Section } from '../definition.ts'

const secretFile = <const Key extends string>(key: Key, what: string) =>
  ({
    key: `${key}_path`,
    type: 'string',
    default: '',
    format: 'path',
    contentOf: key,
    status: 'active',
    description: `A file with ${what} and nothing else, instead of \`${key}\`: one line of UTF-8; a newline at its end does not count. Read again when it changes.`,
  }) as const

export const CREDENTIALS = {
  title: 'Secret files, and users of the other cluster (not in the Go proxy)',
  settings: [
    secretFile('origin_username', "the name of the proxy's own user"),
    secretFile('origin_password', 'its password'),
    secretFile('target_username', "the name of the proxy's own user"),
    secretFile('target_password', 'its password'),
    {
      key: 'credentials_map_path',
      type: 'string',
      default: '',
      format: 'path',
      contentOf: 'credentials_map',
      status: 'active',
      description:
        "A file that says, for the clients' users, as whom the proxy signs in to the cluster that does not get the client's own credentials (see *Users of the other cluster*). Empty: as the proxy's own user for all. Read again when it changes.",
    },
    {
      key: 'credentials_map',
      type: 'string',
      default: '',
      format: 'credentials map',
      isSecret: true,
      status: 'active',
      description:
        'The content of such a file as text, instead of `credentials_map_path`. Never logged.',
    },
  ],
} as const satisfies Section
