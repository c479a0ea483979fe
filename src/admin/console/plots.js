/** What the clusters did over the last minutes: lines with a scale, and their content in words. */
import { make } from './dom.js'

export const WINDOW_MS = 300_000
/** Samples further apart than this are not joined: nobody knows what was between. */
const GAP_MS = 15_000
const SVG = 'http://www.w3.org/2000/svg'
const HEIGHT = 40
const WIDTH = 100

/** 1, 2 or 5 and zeros: the least that is not below. */
const roundUp = (value) => {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((step) => step * power).find((bound) => bound >= value * 0.999_999)
}

const line = (samples, pick, most, nowMs, className) => {
  let d = ''
  let lastMs = Number.NEGATIVE_INFINITY
  for (const sample of samples) {
    const value = pick(sample)
    if (value === null) continue
    const x = WIDTH * (1 - (nowMs - sample.atMs) / WINDOW_MS)
    const y = HEIGHT * (1 - value / most)
    d += `${sample.atMs - lastMs > GAP_MS ? 'M' : 'L'}${x.toFixed(2)} ${y.toFixed(2)}`
    lastMs = sample.atMs
  }
  const path = document.createElementNS(SVG, 'path')
  path.setAttribute('d', d)
  path.setAttribute('class', className)
  return path
}

/**
 * A figure. `lines`: `{ name, pick, className }`, where `pick` gives a sample's value or null; `least`: the
 * scale's end is not below it.
 */
export const plot = ({ title, unit, lines, least, caption, isBad }, samples, nowMs) => {
  const values = lines.flatMap(({ pick }) => samples.map((sample) => pick(sample) ?? 0))
  const most = roundUp(Math.max(least, ...values))
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('class', 'plot')
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`)
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('role', 'img')
  svg.setAttribute(
    'aria-label',
    `${title}: ${caption}. The last five minutes, from 0 to ${most} ${unit}`,
  )
  svg.append(...lines.map(({ pick, className }) => line(samples, pick, most, nowMs, className)))
  const label = (text, className) => make('span', { text, className, 'aria-hidden': 'true' })
  return make('figure', {}, [
    make('figcaption', { className: isBad ? 'bad' : undefined }, [
      caption,
      ...lines.map(({ name, className }) => label(name, `key ${className}`)),
    ]),
    make('div', { className: 'axes' }, [
      label(`${most} ${unit}`, 'most'),
      label(`0 ${unit}`, 'least'),
      svg,
      label('5 min ago', 'then'),
      label('now', 'now'),
    ]),
  ])
}
