/** The text of docs/configuration.md, from the table of settings. A test holds the file to it. */
import type { Section, SettingDefinition, SettingStatus } from './definition.ts'
import { isLive } from './live-settings.ts'
import { environmentName, SECTIONS } from './settings.ts'
import { rangeOf, valueText } from './value.ts'

const STATUS_WORDS = {
  active: '',
  ignored: 'no effect',
} as const satisfies Record<SettingStatus, string>

const code = (text: string): string => `\`${text}\``

const typeText = (definition: SettingDefinition): string => {
  switch (definition.type) {
    case 'int':
      return 'whole number'
    case 'float':
      return 'number'
    case 'boolean':
      return 'boolean'
    case 'choice':
      return 'word'
    case 'string':
      return definition.format ?? 'text'
    case 'list':
      return `list of ${definition.format}`
    case 'buckets':
      return 'list of numbers'
  }
}

const defaultText = (definition: SettingDefinition): string => {
  const text = valueText(definition.default)
  if (text !== '') return code(text.replaceAll(',', ', '))
  const isRequired = definition.type === 'string' && definition.isRequiredInEnvironment === true
  return isRequired ? 'empty; must be set in the environment' : 'empty'
}

const allowedText = (definition: SettingDefinition): string => {
  switch (definition.type) {
    case 'int':
    case 'float': {
      if (definition.status === 'ignored') return ''
      const [min, max] = rangeOf(definition)
      const unit = definition.unit === undefined ? '' : ` ${definition.unit}`
      const range = definition.max === undefined ? `from ${min}${unit}` : `${min} to ${max}${unit}`
      const { insteadOfZero } = definition
      if (insteadOfZero === undefined) return range
      return `above 0${unit}; 0 or less means ${insteadOfZero}`
    }
    case 'choice':
      return definition.choices.map(code).join(', ')
    case 'buckets':
      return `${definition.unit}, rising`
    case 'boolean':
    case 'string':
    case 'list':
      return ''
  }
}

const row = (definition: SettingDefinition): string => {
  const cells = [
    code(definition.key),
    code(environmentName(definition.key)),
    typeText(definition),
    defaultText(definition),
    allowedText(definition),
    isLive(definition.key) ? 'live' : STATUS_WORDS[definition.status],
    definition.description,
  ]
  return `| ${cells.join(' | ')} |`
}

const section = ({ title, settings }: Section): string =>
  [
    `## ${title}`,
    '',
    '| Setting | Environment | Type | Default | Allowed | Status | Meaning |',
    '|---|---|---|---|---|---|---|',
    ...settings.map(row),
    '',
  ].join('\n')

const OPENING = `<!-- Rendered from src/config/table/; \`npx vitest run --project unit test/config/configuration-doc.test.ts -u\` renders it again. -->
# Configuration

Settings come from environment variables **or** from a YAML file: with \`--config PATH\` every \`ZDM_*\` variable is
ignored, and the log warns of those that say something else. *Several layers* has how both can be used. A setting has one name in two spellings: \`primary_cluster\` in a file is \`ZDM_PRIMARY_CLUSTER\` in the environment. The names,
types and defaults are those of the Go proxy; the section *Not in the Go proxy* has the ones it does not know.

\`\`\`yaml
primary_cluster: ORIGIN
origin_contact_points: 10.0.1.1,10.0.1.2
origin_username: migration
origin_password: secret
target_contact_points: cassandra-new.example.com
proxy_listen_address: 0.0.0.0
proxy_listen_port: 9042
proxy_topology_addresses: 10.0.3.1,10.0.3.2,10.0.3.3
proxy_topology_index: 0
\`\`\`

## How values are written

| | Environment | YAML file |
|---|---|---|
| Not there | the default | the default, and also for \`name:\` without a value |
| Empty | empty text or an empty list, not the default, and every address to listen on; an error for anything else | the same for \`name: ""\` |
| Whole number | \`9042\`, \`1_000\`, \`0x1F\`, \`0o17\`, \`0b11\`; a leading 0 means octal | the same, without quotes; a fraction is cut off, with a warning |
| Boolean | \`true\`, \`True\`, \`TRUE\`, \`t\`, \`T\`, \`1\` and \`false\`, \`False\`, \`FALSE\`, \`f\`, \`F\`, \`0\` | \`true\`, \`false\` without quotes, or \`yes\`, \`no\`, \`on\`, \`off\`, \`y\`, \`n\` |
| Word | in any case | in any case |
| List | \`a,b\`; blanks do not count | one text, \`a,b\`; not a YAML list |

The four settings of user names and passwords must be set in the environment, to the empty string where a cluster asks for none, or have a secret
file. In a file they may be left out.

## Secret files

Each user name and password may be the content of a file of its own: \`origin_password_path: /run/secrets/origin-password\` instead of
\`origin_password\`; so with \`origin_username_path\`, \`target_username_path\`, \`target_password_path\`. The file has one line of UTF-8; a newline at its end
does not count. Value and file together are refused, but for a value that is empty. A file that is missing, empty, not UTF-8 or has several
lines is an error that names setting and path, and never shows the content.

The files are looked at every 5 seconds, by content, as certificates are: links that are switched (Secrets of Kubernetes) count too. What two looks in a row
have seen is in effect for new connections, wherever the settings come from; so user name and password may be written one after the other. A broken file
changes nothing (CONFIG_RELOAD_REFUSED). SIGHUP reads them at once.

## Several layers

- \`--config base.yml --config site.yml\`: setting by setting the last file that has it counts. \`name:\` without a value leaves it to the file before,
  \`name: ""\` is an empty text.
- \`--with-environment\`, beside \`--config\`: \`ZDM_*\` variables count more than all files. A variable that is set to the empty text is set. In the
  image two are preset: \`ZDM_PROXY_LISTEN_ADDRESS\` and \`ZDM_METRICS_ADDRESS\`.

What settings must be together is checked on the result; unknown names are told of every layer. \`--print-config\` and \`/v1/config\` say of each value where it
came from: a default, the environment, which file, which secret file. SIGHUP reads all files again.

## Users of the other cluster

Where both clusters authenticate, a client's own credentials go to one of them: Target, or Origin with \`forward_client_credentials_to_origin\`. On the other
the proxy signs in with its configured user, the same for all clients; or, with \`credentials_map_path\`, with one for each of the clients' users:

\`\`\`
unlisted: refuse
users:
  orders: { username: orders_origin, password: "…" }
  billing:
    username: billing_origin
    password: "…"
\`\`\`

The names under \`users\` are those that clients sign in with. Who is not among them gets the configured user (\`unlisted: configured\`, the default), or with
\`unlisted: refuse\` is refused with an AUTHENTICATION_ERROR that says so, once its own cluster has accepted its password; the log has CLIENT_NOT_MAPPED. Clients
whose users differ on either cluster never share a connection; asynchronous reads use the same users. The control connections keep the configured user. The file is read as a secret
file: strictly, and again when it changes. Every value is text; text with special characters needs quotes. The map has no effect where only one cluster authenticates.

## When something is wrong

The proxy does not start. It logs **every** problem that it finds, one line each, with the setting as you spelled it, the value (never a
password) and what is allowed, and ends with exit status 255. Wrong arguments end with 2. Clusters that cannot be reached, or refuse, end nothing: the start
is tried again, unless \`startup_fail_fast\` (status 3) or \`startup_timeout_ms\` (status 4) say otherwise.

Unknown settings are a warning that names the nearest known one; with \`--strict-config\` they are an error. After a good start one line,
\`Parsed configuration:\`, has all settings without the passwords.

\`zdm-proxy --check\` looks further without serving: files, names, both clusters. \`zdm-proxy --print-config\` prints every setting in effect and where
it came from. docs/operations.md describes both.

Beyond single values these are refused:

- a cluster without contact points, or the same contact point and port for Origin and Target;
- a local datacenter or a local rack together with host assignment switched off;
- an index outside \`proxy_topology_addresses\`, or the same address in it twice;
- \`proxy_listen_address: 0.0.0.0\` (or \`::\`) without \`proxy_topology_addresses\`: drivers are told the proxy's own address, and nobody answers at
  0.0.0.0. Set the list to the address that clients reach this instance by; all instances' addresses, if there are several;
- one port for clients and for metrics, or for one of them and \`admin_port\`. Where \`admin_port\` is not set and its default is taken, the admin API
  is switched off instead, with a warning.

## Reading the tables

The column *Status* is empty for settings that do what they say from the start on. *live*: a running proxy takes a new value over when it reads its file
again (SIGHUP). *no effect*: accepted because configurations of the Go proxy have it.

`

/** All of docs/configuration.md. */
export const renderConfigurationDocument = (): string => OPENING + SECTIONS.map(section).join('\n')
