/**
 * The web console in a real browser (headless Chromium), against an instance between two fake clusters: what
 * it shows, that it can be used by keyboard alone, and plan → confirm → change.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { listenHttp } from '../../src/admin/http-server.ts'
import { systemClock } from '../../src/clock.ts'
import type { MigrationControl } from '../../src/proxy/migration-control.ts'
import { afterTest } from '../support/after-test.ts'
import { startTestControl, testApp } from '../support/controlled.ts'
import { type Rig, settingsFor, startRig } from '../support/instance.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const CHROMIUM = process.env['ZDM_TEST_CHROMIUM'] ?? '/usr/bin/chromium'

let browser: Browser

beforeAll(async () => {
  if (!existsSync(CHROMIUM)) {
    throw new Error(
      `Cannot test the console: no browser at ${CHROMIUM}. Install Debian's package chromium, or set ZDM_TEST_CHROMIUM to a Chromium.`,
    )
  }
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
  })
})

afterAll(() => browser?.close())

type Opened = { readonly page: Page; readonly rig: Rig; readonly control: MigrationControl }

type Prepare = (page: Page) => Promise<void>

const openConsole = async (
  token: string | null = null,
  prepare: Prepare = () => Promise.resolve(),
): Promise<Opened> => {
  const directory = temporaryDirectory()
  const rig = await startRig()
  const settings = settingsFor(rig.origin, rig.target, {
    routingStatePath: join(directory, 'state.json'),
  })
  const control = startTestControl(settings, rig.instance)
  const app = testApp(control, { token })
  const where = { address: '127.0.0.1', port: 0, purpose: 'the test' }
  const server = await listenHttp(app, where, systemClock)
  afterTest(() => server.close())
  control.setAdminPort(server.port)
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 } })
  afterTest(() => context.close())
  const page = await context.newPage()
  afterTest(() => page.unrouteAll({ behavior: 'ignoreErrors' }))
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // A refused token is answered 401, which browsers log by themselves.
    if (message.type() === 'error' && token === null) complaints.push(message.text())
  })
  afterTest(() => expect(complaints).toEqual([]))
  await prepare(page)
  await page.goto(`http://127.0.0.1:${server.port}/`)
  return { page, rig, control }
}

/** Lets the API answer, and changes what it says. */
const altering =
  (path: string, alter: (answer: Record<string, unknown>) => object): Prepare =>
  async (page) => {
    await page.route(`**${path}*`, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: alter(await response.json()) })
    })
  }

const FAILED_CHECK = {
  id: 'configuration-equal',
  outcome: 'fail',
  evidence: 'different: read_mode ("x" and "y")',
  remedy: 'give all instances the same settings',
  instance: null,
}

const currentPhase = (page: Page): Promise<string | null> =>
  page.locator('#way [aria-current=step]').textContent()

const isCurrent = (page: Page, phase: string): Promise<void> =>
  page.locator(`#way [aria-current=step]:text-is("${phase}")`).waitFor()

describe('the console', () => {
  test('shows the phase, the routing, both clusters and every instance', async () => {
    const { page } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('heading', { name: /Origin\s+up/ }).waitFor()
    await page.getByRole('heading', { name: /Target\s+up/ }).waitFor()
    expect(await page.locator('#routing').textContent()).toContain('served by Origin')
    expect(await page.locator('#agreement').textContent()).toBe('All instances agree.')
    expect(await page.locator('#instances tbody tr').count()).toBe(1)
    expect(await page.getByRole('img').count()).toBe(4)
    expect(await page.locator('#divergence-summary').textContent()).toContain('Origin 0, Target 0')
  })

  test('has in sight what a cluster lacks', async () => {
    const { page } = await openConsole()
    const routing = { primary: 'ORIGIN', readMode: 'PRIMARY_ONLY', writeMode: 'origin_only' }
    const answer = await fetch(new URL('/v1/routing', page.url()), {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ routing, by: 'ada', reason: 'leaving', force: true }),
    })
    expect(answer.status).toBe(200)
    await page.locator('#lacks li').waitFor()
    expect(await page.locator('#lacks').textContent()).toMatch(
      /^Writes went to Origin only since .*, and Target lacks them\.$/,
    )
  })

  test('plans, and changes only after it was confirmed', async () => {
    const { page, control } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.locator('#plan-title').textContent()).toBe('advance: connect → migrate')
    await page.getByRole('button', { name: 'Cancel' }).click()
    expect((await control.status()).state.phase).toBe('connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByLabel('Your name, for the audit log').fill('ada')
    await page.getByLabel('Reason, for the audit log').fill('all writers use the proxy')
    // Only the button confirms.
    await page.keyboard.press('Enter')
    expect((await control.status()).state.phase).toBe('connect')
    await page.getByRole('button', { name: 'Confirm: advance to migrate' }).click()
    await isCurrent(page, 'migrate')
    expect((await control.status()).state).toMatchObject({
      phase: 'migrate',
      reason: 'all writers use the proxy',
      changedBy: 'ada',
    })
    await page.getByRole('button', { name: 'Plan: rollback…' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.getByLabel('Your name, for the audit log').inputValue()).toBe('ada')
  })

  test('a plan opens at its beginning, with where reads go, and what failed first', async () => {
    const { page } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('button', { name: 'Confirm: advance to migrate' }).click()
    await isCurrent(page, 'migrate')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.evaluate('document.activeElement.id')).toBe('plan-title')
    expect(await page.locator('#plan-dialog').evaluate((dialog) => dialog.scrollTop)).toBe(0)
    expect(await page.locator('#plan-steps').textContent()).toContain(
      'reads stay on Origin and are copied to Target',
    )
    const marks = await page.locator('#plan-checks li > :first-child').allTextContents()
    expect(marks[0]).toBe('✗ failed')
    expect(marks.lastIndexOf('✗ failed')).toBeLessThan(marks.indexOf('✓ passed'))
    await page.keyboard.press('Enter')
    expect(await page.getByRole('dialog').isVisible()).toBe(true)
  })

  test('the plan of a rollback tells what Origin lacks, by table', async () => {
    const times = { firstAt: '2026-01-01T00:00:00.000Z', lastAt: '2026-01-02T00:00:00.000Z' }
    const lacks = { keyspace: 'shop', table: 'orders', originOnly: 7, targetOnly: 0, both: 0 }
    const { page } = await openConsole(
      null,
      altering('/v1/plan', ({ leave, ...plan }) => ({
        ...plan,
        leave: {
          ...Object(leave),
          isOriginComplete: false,
          missingOnOrigin: [{ ...lacks, ...times }],
        },
      })),
    )
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: rollback…' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.locator('#plan-message').textContent()).toBe('Verdict: would be done.')
    expect(await page.locator('#plan-leave').textContent()).toContain('Origin may lack writes')
    expect(await page.locator('#plan-leave tbody').textContent()).toContain('shop.orders7')
  })

  test('shows instances that are configured differently, and rates with what they mean', async () => {
    const { page } = await openConsole(
      null,
      altering('/v1/deployment', (deployment) => ({ ...deployment, checks: [FAILED_CHECK] })),
    )
    await page.locator('#drift', { hasText: 'configuration-equal: different: read_mode' }).waitFor()
    expect(await page.locator('#summary').textContent()).toContain('the instances differ')
    expect(await page.locator('#traffic').textContent()).toContain('Reads from Origin0 /s')
    expect(await page.locator('#next').textContent()).toContain('what migrate needs')
    expect(await page.locator('#routing').textContent()).toContain('not recorded')
    expect(await page.locator('.axes').first().textContent()).toBe('1 ms0 ms5 min agonow')
  })

  test('says since when its instance does not answer, and that what it shows is old', async () => {
    const { page } = await openConsole(null, async (opened) => {
      await opened.clock.install()
    })
    await isCurrent(page, 'connect')
    expect(await page.locator('#freshness').textContent()).toMatch(/^as of \d\d:\d\d:\d\d$/)
    await page.route('**/v1/deployment', () => undefined)
    await page.clock.fastForward(8000)
    await page.locator('#freshness', { hasText: /^not answering since \d\d:\d\d:\d\d$/ }).waitFor()
    expect(await page.locator('#summary').textContent()).toMatch(
      /^Not up to date: .* does not answer/,
    )
    await page.unroute('**/v1/deployment')
  })

  test('a change that a check refuses cannot be confirmed, and says what to do', async () => {
    const { page, control } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('button', { name: 'Confirm: advance to migrate' }).click()
    await isCurrent(page, 'migrate')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.locator('#plan-checks li', { hasText: 'reconciled' }).waitFor()
    expect(await page.locator('#plan-checks .bad').count()).toBeGreaterThan(0)
    expect(await page.locator('#plan-checks .remedy').first().textContent()).toMatch(/^→ /)
    expect(await page.locator('#confirm').isDisabled()).toBe(true)
    expect((await control.status()).state.phase).toBe('migrate')
  })

  test('shows the last mirrored reads that were answered differently', async () => {
    const { page, rig } = await openConsole()
    await isCurrent(page, 'connect')
    expect(await page.locator('#mismatches').isHidden()).toBe(true)
    const sample = {
      atMs: Date.now(),
      keyspace: 'shop',
      table: 'orders',
      statement: 'SELECT <b>total</b> FROM shop.orders WHERE id = ?',
      primary: 'origin',
      missingOnPrimary: 0,
      missingOnSecondary: 3,
      changedRows: 0,
      columns: [],
      isOrder: false,
      isPartial: false,
      keyOf: 'partition_key',
      keyHash: '0123456789abcdef',
    } as const
    vi.spyOn(rig.instance, 'mismatches').mockResolvedValue([sample])
    const cells = page.locator('#mismatches tbody tr').first().locator('th, td')
    await cells.first().waitFor()
    expect((await cells.allTextContents()).slice(0, 6)).toEqual([
      'shop.orders',
      '0',
      '3',
      '0',
      '',
      sample.statement,
    ])
  })

  test('shows who uses the proxy when asked, texts of clients as text', async () => {
    const { page, rig } = await openConsole()
    await isCurrent(page, 'connect')
    const asked: string[] = []
    page.on('request', (request) => asked.push(new URL(request.url()).pathname))
    await rig.client(4, { startupOptions: { DRIVER_NAME: '<b>java</b>', DRIVER_VERSION: '4.17' } })
    await page.waitForRequest('**/v1/mismatches*')
    expect(asked).not.toContain('/v1/clients')
    await page.getByText('Who uses the proxy').click()
    const cells = page.locator('#clients tbody tr').first().locator('th, td')
    await page.locator('#clients tbody tr', { hasText: 'java' }).waitFor()
    expect((await cells.allTextContents()).slice(0, 5)).toEqual([
      '127.0.0.1',
      '–',
      '–',
      '<b>java</b> 4.17',
      'v4',
    ])
  })

  test('can be used by keyboard alone', async () => {
    const { page } = await openConsole()
    await isCurrent(page, 'connect')
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.className')).toBe('skip')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.id')).toBe('plan-advance')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await currentPhase(page)).toBe('connect')
  })

  test('asks for the token where the API needs one, and keeps it in the tab only', async () => {
    const { page } = await openConsole('a-token-of-many-letters')
    await page.getByRole('dialog', { name: 'Token of the admin API' }).waitFor()
    await page.getByRole('textbox', { name: 'Token' }).fill('a-token-of-many-letters')
    await page.getByRole('button', { name: 'Use it' }).click()
    await isCurrent(page, 'connect')
    expect(await page.evaluate('localStorage.length')).toBe(0)
  })

  test('says that a token was refused; without one it says so, and asks on demand', async () => {
    const { page } = await openConsole('a-token-of-many-letters')
    const token = page.getByRole('textbox', { name: 'Token' })
    await token.fill('another')
    await page.keyboard.press('Enter')
    await page.locator('#token-error', { hasText: 'That token was refused' }).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('#summary', { hasText: 'needs a token, and none was given' }).waitFor()
    await page.getByRole('button', { name: 'Enter the token…' }).click()
    await token.fill('a-token-of-many-letters')
    await page.keyboard.press('Enter')
    await isCurrent(page, 'connect')
  })

  test('after a rollback the phase to advance to is chosen, the furthest first', async () => {
    const { page, control } = await openConsole()
    const [own] = control.deployment('test')
    const who = { by: 'ada', reason: 'a test', force: true }
    const verbs = [
      { verb: 'advance', to: 'migrate' },
      { verb: 'advance', to: 'dual-read' },
      { verb: 'rollback' },
    ] as const
    for (const [revision, transition] of verbs.entries()) {
      const change = { ...who, transition, expectedRevision: revision, revision: revision + 1 }
      await own!.prepare(change).then(({ id }) => own!.commit(id))
    }
    await isCurrent(page, 'rolled-back')
    const choice = page.getByLabel('Phase to advance to')
    expect(await choice.locator('option').allTextContents()).toEqual(['dual-read', 'migrate'])
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.locator('#plan-title', { hasText: 'advance: rolled-back → dual-read' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await choice.selectOption('migrate')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('button', { name: 'Confirm: advance to migrate' }).click()
    await isCurrent(page, 'migrate')
    expect(await choice.isVisible()).toBe(false)
  })

  test('a rollback from anywhere is two keys away', async () => {
    const { page, control } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: rollback…' }).click()
    await page.getByRole('button', { name: /^Confirm: rollback/ }).click()
    await isCurrent(page, 'rolled-back')
    expect((await control.status()).state.routing.primary).toBe('ORIGIN')
  })
})
