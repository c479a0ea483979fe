/** Elements, numbers and times as the console writes them. Every text goes in as text, never as markup. */

export const byId = (id) => document.getElementById(id)

/** An element with text, attributes and children. */
export const make = (tag, { text, className, ...attributes } = {}, children = []) => {
  const element = document.createElement(tag)
  if (text !== undefined) element.textContent = text
  if (className !== undefined) element.className = className
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

export const setText = (id, text) => {
  const element = byId(id)
  // What did not change is not read out again.
  if (element.textContent !== text) element.textContent = text
}

/** A row of a table; a cell is a text, or a text and a class. */
export const row = (cells) =>
  make('tr', {}, [
    make('th', { text: cells[0], scope: 'row' }),
    ...cells
      .slice(1)
      .map((cell) =>
        Array.isArray(cell)
          ? make('td', { text: cell[0], className: cell[1] })
          : make('td', { text: cell }),
      ),
  ])

export const formatMs = (ms) => {
  if (ms === null || ms === undefined) return '–'
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`
}

export const formatRate = (rate) =>
  rate >= 10 || rate === 0 ? Math.round(rate).toLocaleString('en-US') : rate.toFixed(1)

/** `10:41:05`, as the browser's clock has it. */
export const formatTime = (date) => date.toLocaleTimeString('en-GB')

/** The slowest: a mean would hide it. Null where nobody measured. */
export const worst = (values) =>
  values.reduce((most, one) => (one === null ? most : Math.max(most ?? 0, one)), null)

export const sum = (all, pick) => all.reduce((total, one) => total + pick(one), 0)
