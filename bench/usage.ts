/**
 * CPU time and memory of a process group, read from outside: /proc on Linux, ps elsewhere. A group,
 * because a proxy may be started by a shell or have processes of its own.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { platform } from 'node:os'

/** User and system time so far, and resident memory now. */
export type Usage = { readonly cpuMs: number; readonly rssBytes: number }

/** Sums over the group's living processes; both 0 when there are none. */
export const readUsage = (groupId: number): Usage =>
  platform() === 'linux' ? readProc(groupId) : readPs(groupId)

const configured = (name: string, fallback: number): number => {
  try {
    return Number(execFileSync('getconf', [name], { encoding: 'utf8' })) || fallback
  } catch {
    return fallback
  }
}

let units: { readonly tickMs: number; readonly pageBytes: number } | null = null

const readProc = (groupId: number): Usage => {
  units ??= { tickMs: 1000 / configured('CLK_TCK', 100), pageBytes: configured('PAGESIZE', 4096) }
  let cpuMs = 0
  let rssBytes = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = parseProcStat(readStat(name))
    if (stat === null || stat.groupId !== groupId) continue
    cpuMs += stat.ticks * units.tickMs
    rssBytes += stat.rssPages * units.pageBytes
  }
  return { cpuMs, rssBytes }
}

/** Empty for a process that has just ended. */
const readStat = (processId: string): string => {
  try {
    return readFileSync(`/proc/${processId}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/** Of /proc/PID/stat (proc_pid_stat(5)): fields 5, 14 + 15, 24. The name in field 2 may hold anything. */
export const parseProcStat = (
  line: string,
): { readonly groupId: number; readonly ticks: number; readonly rssPages: number } | null => {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  if (fields.length < 22) return null
  const field = (number: number): number => Number(fields[number - 3])
  return { groupId: field(5), ticks: field(14) + field(15), rssPages: field(24) }
}

const readPs = (groupId: number): Usage =>
  parsePs(execFileSync('ps', ['-A', '-o', 'pgid=,rss=,time='], { encoding: 'utf8' }), groupId)

/** Lines of `<group> <KiB> <[days-][hours:]minutes:seconds[.fraction]>`. */
export const parsePs = (output: string, groupId: number): Usage => {
  let cpuMs = 0
  let rssBytes = 0
  for (const line of output.split('\n')) {
    const [group, rssKib, time] = line.trim().split(/\s+/)
    if (Number(group) !== groupId || time === undefined) continue
    const [clock = '', days = '0'] = time.split('-').reverse()
    const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
    cpuMs += (Number(days) * 86_400 + seconds) * 1000
    rssBytes += Number(rssKib) * 1024
  }
  return { cpuMs, rssBytes }
}
