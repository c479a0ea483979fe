import { platform } from 'node:os'
import { describe, expect, it } from 'vitest'
import { parseProcStat, parsePs, readUsage } from '../../bench/usage.ts'

describe('CPU time and memory of a process group', () => {
  it('come from the right fields of /proc/PID/stat, whatever the process is called', () => {
    const numbers = Array.from({ length: 48 }, (_, at) => at + 5)
    const line = `42 (a) b) (c) S 4 ${numbers.join(' ')}`
    expect(parseProcStat(line)).toEqual({ groupId: 5, ticks: 14 + 15, rssPages: 24 })
    expect(parseProcStat('')).toBeNull()
    expect(parseProcStat('42 (gone')).toBeNull()
  })

  it('are summed over the lines of ps that belong to the group', () => {
    const output = [
      '  100   2048     0:01.50',
      '  100   1024 1-02:03:04',
      '   10   9999     9:99.99',
      '',
    ].join('\n')
    expect(parsePs(output, 100)).toEqual({
      cpuMs: 1500 + (((24 + 2) * 60 + 3) * 60 + 4) * 1000,
      rssBytes: 3 * 1024 * 1024,
    })
    expect(parsePs(output, 1)).toEqual({ cpuMs: 0, rssBytes: 0 })
  })

  if (platform() === 'linux') {
    it('are none for a group without processes', () => {
      expect(readUsage(2 ** 30)).toEqual({ cpuMs: 0, rssBytes: 0 })
    })
  }
})
