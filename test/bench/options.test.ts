import { describe, expect, it } from 'vitest'
import { describeOptions, HELP, parseOptions } from '../../bench/options.ts'

describe('the command line of the bench', () => {
  it('measures 16 connections with 32 requests in flight, half of them reads, if not told otherwise', () => {
    const options = parseOptions([])
    expect(options).toEqual({
      connections: 16,
      inFlight: 32,
      ratePerSecond: null,
      mix: { kind: 'execute', readPercent: 50 },
      valueLength: 100,
      version: 4,
      upstream: 'shared',
      seconds: 3,
      warmUpSeconds: 0.5,
      rounds: 5,
      without: [],
      peers: [],
      pin: { proxyCores: '0', loadCores: '1' },
      jsonFile: null,
      cpuMaxUs: null,
      ratioMax: null,
    })
  })

  it('takes each option', () => {
    const options = parseOptions(
      (
        '--connections 3 --in-flight 4 --rate 500 --mix query:80 --value-bytes 7 --version 5 ' +
        '--seconds .5 --warm-up 2 --rounds 9 --without direct --without forwarder ' +
        '--upstream per_client --proxy-cores 0,2-3 --load-cores 1 --json out.json --max-cpu 8 --max-ratio 2.5'
      ).split(' '),
    )
    expect(options).toEqual({
      connections: 3,
      inFlight: 4,
      ratePerSecond: 500,
      mix: { kind: 'query', readPercent: 80 },
      valueLength: 7,
      version: 5,
      upstream: 'per_client',
      seconds: 0.5,
      warmUpSeconds: 2,
      rounds: 9,
      without: ['direct', 'forwarder'],
      peers: [],
      pin: { proxyCores: '0,2-3', loadCores: '1' },
      jsonFile: 'out.json',
      cpuMaxUs: 8,
      ratioMax: 2.5,
    })
    expect(parseOptions(['--no-pin'])?.pin).toBeNull()
  })

  it('puts the nth port and name to the nth peer', () => {
    const argv = '--peer a --peer-port 1 --peer b --peer-name B --peer-port 2 --peer-ready-port 3'
    const named = parseOptions(argv.split(' '))?.peers
    expect(named).toEqual([
      { name: 'B', command: 'a', port: 1, readyPort: 3 },
      { name: 'peer 2', command: 'b', port: 2, readyPort: null },
    ])
    expect(parseOptions(['--peer', 'run it'])?.peers).toEqual([
      { name: 'peer', command: 'run it', port: null, readyPort: null },
    ])
  })

  it.each([
    ['--connections 0', '--connections 0: expected a whole number from 1 to 10000'],
    ['--connections 1.5', '--connections 1.5: expected'],
    ['--in-flight 32769', '--in-flight 32769: expected a whole number from 1 to 32768'],
    ['--version 6', '--version 6: expected a whole number from 3 to 5'],
    ['--rate fast', '--rate fast: expected'],
    ['--seconds 0', '--seconds 0: expected a number above 0'],
    ['--mix delete', '--mix delete: expected execute, query or batch'],
    ['--mix execute:101', '--mix execute:101: expected'],
    ['--mix batch:50', '--mix batch:50: expected'],
    ['--upstream none', '--upstream none: expected shared, per_client'],
    ['--without peer', '--without peer: expected direct, forwarder, proxy'],
    ['--load-cores all', '--load-cores all: expected a list as in 0,2-3'],
    ['--peer-port 9042', '--peer-port without a --peer for it'],
    ['--peer x --peer-port 70000', '--peer-port 70000: expected'],
    ['--bogus', "Unknown option '--bogus'"],
    ['stray', "Unexpected argument 'stray'"],
  ])('refuses %s with the reason', (argv, message) => {
    expect(() => parseOptions(argv.split(' '))).toThrow(message)
    expect(() => parseOptions(argv.split(' '))).toThrow(
      expect.objectContaining({ code: 'BENCH_USAGE' }),
    )
  })

  it('has help, which names every option', () => {
    expect(parseOptions(['--help'])).toBeNull()
    const named = [...HELP.matchAll(/--([a-z-]+)/g)].map(([, name]) => name)
    expect(new Set(named)).toEqual(
      new Set(
        (
          'connections in-flight rate mix value-bytes version seconds warm-up rounds without upstream ' +
          'no-pin proxy-cores load-cores peer peer-port peer-ready-port peer-name json max-cpu max-ratio help'
        ).split(' '),
      ),
    )
  })

  it('says in one line what is measured', () => {
    expect(describeOptions(parseOptions([])!)).toBe(
      '16 connections × 32 in flight; execute, 50 % reads; values of 100 bytes; protocol v4; ' +
        'upstream connections shared; 5 rounds of 3 s',
    )
    expect(describeOptions(parseOptions(['--rate', '5000', '--mix', 'batch'])!)).toBe(
      '5000 requests/s over 16 connections; batch of 10; values of 100 bytes; protocol v4; ' +
        'upstream connections shared; 5 rounds of 3 s',
    )
  })
})
