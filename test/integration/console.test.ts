/**
 * The web console in a real browser (headless Chromium), against an instance between two fake clusters: what
 * it shows, that it can be used by keyboard alone, and plan → confirm → change.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { listenHttp } from '../../src/admin/http-server.ts'
import { systemClock } from '../../src/clock.ts'
import type { MigrationControl } from '../../src/proxy/migration-control.ts'
import { afterTest } from '../support/after-test.ts'
import { startTestControl, testApp } from '../support/controlled.ts'
import { type Rig, settingsFor, startRig } from '../support/instance.ts'

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

const openConsole = async (token: string | null = null): Promise<Opened> => {
  const directory = mkdtempSync(join(tmpdir(), 'zdm-console-'))
  afterTest(() => rmSync(directory, { recursive: true }))
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
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // A refused token is answered 401, which browsers log by themselves.
    if (message.type() === 'error' && token === null) complaints.push(message.text())
  })
  afterTest(() => expect(complaints).toEqual([]))
  await page.goto(`http://127.0.0.1:${server.port}/`)
  return { page, rig, control }
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

  test('plans, and changes only after it was confirmed', async () => {
    const { page, control } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.locator('#plan-title').textContent()).toBe('advance: connect → migrate')
    await page.getByRole('button', { name: 'Cancel' }).click()
    expect((await control.status()).state.phase).toBe('connect')
    await page.getByRole('button', { name: 'Plan: advance…' }).click()
    await page.getByLabel('Reason, for the audit log').fill('all writers use the proxy')
    await page.getByRole('button', { name: 'Confirm: advance to migrate' }).click()
    await isCurrent(page, 'migrate')
    expect((await control.status()).state).toMatchObject({
      phase: 'migrate',
      reason: 'all writers use the proxy',
      changedBy: 'console',
    })
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

  test('a rollback from anywhere is two keys away', async () => {
    const { page, control } = await openConsole()
    await isCurrent(page, 'connect')
    await page.getByRole('button', { name: 'Plan: rollback…' }).click()
    await page.getByRole('button', { name: /^Confirm: rollback/ }).click()
    await isCurrent(page, 'rolled-back')
    expect((await control.status()).state.routing.primary).toBe('ORIGIN')
  })
})
