import { describe, expect, test } from 'vitest'
import { parseCommandLine, USAGE } from '../../src/config/command-line.ts'

describe('parseCommandLine', () => {
  test.each<[string[], string[], boolean]>([
    [[], [], false],
    [['--config', 'zdm.yml'], ['zdm.yml'], false],
    [['-config', 'zdm.yml'], ['zdm.yml'], false],
    [['--config=zdm.yml'], ['zdm.yml'], false],
    [['-config=zdm.yml'], ['zdm.yml'], false],
    [['--config=a=b.yml'], ['a=b.yml'], false],
    [['--config', 'a.yml', '--config', 'b.yml'], ['a.yml', 'b.yml'], false],
    [['--config', '-odd-name'], ['-odd-name'], false],
    [['--strict-config'], [], true],
    [['-strict-config', '-config', 'zdm.yml'], ['zdm.yml'], true],
  ])('%j runs with the files %j, strict %j', (argv, configPaths, isStrict) => {
    expect(parseCommandLine(argv)).toEqual({
      kind: 'run',
      configPaths,
      withEnvironment: false,
      isStrict,
    })
  })

  test.each([
    [['--config', 'a.yml', '--with-environment'], 'run'],
    [['-with-environment', '-check', '--config=a.yml'], 'check'],
    [['--config=a.yml', '--with-environment', '--print-config'], 'print config'],
  ])('%j has the environment above the file, to %s', (argv, kind) => {
    expect(parseCommandLine(argv)).toMatchObject({
      kind,
      configPaths: ['a.yml'],
      withEnvironment: true,
    })
  })

  test.each([
    [['--version'], 'version'],
    [['-version'], 'version'],
    [['--config', 'zdm.yml', '--version'], 'version'],
    [['-h'], 'help'],
    [['--h'], 'help'],
    [['-help'], 'help'],
    [['--help'], 'help'],
    [['--version', '-h'], 'help'],
    [['-h', '--wrong'], 'help'],
  ])('%j asks for the %s', (argv, kind) => {
    expect(parseCommandLine(argv)).toEqual({ kind })
  })

  test.each([
    [['--wrong'], 'unknown flag "--wrong"'],
    [['--wrong=1'], 'unknown flag "--wrong=1"'],
    [['--version', '-x'], 'unknown flag "-x"'],
    [['---config', 'zdm.yml'], 'unknown flag "---config"'],
    [['--Config', 'zdm.yml'], 'unknown flag "--Config"; did you mean --config?'],
    [['--conf', 'zdm.yml'], 'unknown flag "--conf"; did you mean --config?'],
    [['--checks'], 'unknown flag "--checks"; did you mean --check?'],
    [['--'], 'unknown flag "--"'],
    [['-'], 'unknown flag "-"'],
    [['--=x'], 'unknown flag "--=x"'],
    [[''], 'unknown argument ""'],
    [['zdm.yml'], 'unknown argument "zdm.yml"; did you mean --config zdm.yml?'],
    [['serve'], 'unknown argument "serve"'],
    [['--config', 'a.yml', 'b.yml'], 'unknown argument "b.yml"; did you mean --config b.yml?'],
    [['--config'], '--config needs the path of a YAML file'],
    [['--config='], '--config needs the path of a YAML file'],
    [['--config', ''], '--config needs the path of a YAML file'],
    [['--strict-config=yes'], '--strict-config takes no value'],
    [['--version=true'], '--version takes no value'],
    [['--with-environment=no', '--config', 'a.yml'], '--with-environment takes no value'],
    [
      ['--with-environment', '--check'],
      '--with-environment needs --config; without a file the settings come from the environment anyway',
    ],
    [['--config', 'a.yml', '--config', 'b.yml', '--config=a.yml'], '--config a.yml is given twice'],
    [
      ['--check', '--print-config'],
      '--check and --print-config are two questions: ask one at a time',
    ],
  ])('%j is wrong: %s', (argv, text) => {
    expect(parseCommandLine(argv)).toEqual({ kind: 'usage error', text })
  })
})

test('the usage names every flag', () => {
  for (const flag of [
    '--config PATH',
    '--with-environment',
    '--strict-config',
    '--version',
    '--help',
    '-h',
  ]) {
    expect(USAGE).toContain(flag)
  }
})
