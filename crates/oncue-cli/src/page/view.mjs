/** How the page shows what the worker tells: numbers as text, lines of a minute, tables of which only the visible rows exist. */

const ROW = 36
/** Rows beside the visible ones, so that a short scroll needs no answer of the worker. */
const OVERSCAN = 12
/** Rows come and go this many at a time: most frames of a scroll change nothing in the document. */
const STEP = 16
/** What a line is drawn in; it is stretched to its place. */
const LINE = { width: 90, height: 24 }

const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 })

const known = (value) => typeof value === "number" && Number.isFinite(value)

const format = {
  count: (value) => (known(value) ? (value < 100_000 ? count : compact).format(value) : "–"),
  rate: (value) => (known(value) ? (value < 100 ? precise : formatCount).format(value) : "–"),
  seconds(value) {
    if (!known(value)) return "–"
    if (value < 1) return `${precise.format(value * 1000)} ms`
    if (value < 120) return `${precise.format(value)} s`
    return value < 7200 ? `${count.format(value / 60)} min` : `${precise.format(value / 3600)} h`
  },
  bytes(value) {
    if (!known(value)) return "–"
    const unit = Math.min(3, Math.floor(Math.log2(Math.max(1, value)) / 10))
    return `${precise.format(value / 1024 ** unit)} ${["B", "KiB", "MiB", "GiB"][unit]}`
  },
  time: (value) => (known(value) ? new Date(value * 1000).toLocaleTimeString(undefined, { hour12: false }) : "–"),
  text: (value) => (value === undefined || value === null || value === "" ? "–" : `${value}`),
}
const formatCount = { format: (value) => format.count(value) }

/** The columns of each table. `wide` ones are left out on a phone; a `width` is in pixels, and one on a phone is `phone`. */
const COLUMNS = {
  topics: [
    { field: "topic", label: "Topic", kind: "name" },
    { field: "route", label: "Route", wide: true, width: 190 },
    { field: "state", label: "State", kind: "state", width: 96, phone: 82 },
    { field: "subscribers", label: "Subscribers", format: "count", wide: true, width: 112 },
    { field: "rate", label: "Values/s", format: "rate", width: 84, phone: 74 },
    { field: "values", label: "Values", format: "count", wide: true, width: 92 },
    { field: "first_value_seconds", label: "First value", format: "seconds", wide: true, width: 104 },
    { label: "Minute", kind: "line", width: 104, phone: 60 },
  ],
  routes: [
    { field: "pattern", label: "Route", kind: "name" },
    { field: "wanted", label: "Wanted", format: "count", width: 84, phone: 64 },
    { field: "running", label: "Running", format: "count", wide: true, width: 88 },
    { field: "rate", label: "Values/s", format: "rate", width: 84, phone: 74 },
    { field: "avoided", label: "Saved", format: "count", wide: true, width: 90 },
    { field: "failures", label: "Failures", format: "count", wide: true, width: 88 },
    { field: "first", label: "First value", format: "seconds", wide: true, width: 104 },
    { field: "production_seconds", label: "Time spent", format: "seconds", wide: true, width: 104 },
    { label: "Minute", kind: "line", width: 104, phone: 60 },
  ],
  peers: [
    { field: "address", label: "Address", kind: "name" },
    { field: "user", label: "User", wide: true, width: 110 },
    { field: "socket_type", label: "Socket", wide: true, width: 76 },
    { field: "prefixes", label: "Wants", format: "count", wide: true, width: 76 },
    { field: "queued", label: "Queued", format: "count", width: 84, phone: 74 },
    { field: "delivered", label: "Delivered", format: "count", wide: true, width: 100 },
    { field: "missed", label: "Missed", format: "count", width: 84, phone: 68, mark: "missed" },
    { field: "silent_seconds", label: "Silent for", format: "seconds", wide: true, width: 100 },
  ],
  refused: [
    { field: "address", label: "Address", kind: "name", width: 240, phone: 130 },
    { field: "cause", label: "Cause", wide: true, width: 220 },
    { field: "error", label: "Reason" },
  ],
  events: [
    { field: "time", label: "Time", format: "time", width: 84, phone: 72, fixed: true },
    { field: "event", label: "Event", width: 110, phone: 98, fixed: true },
    { field: "about", label: "About", kind: "name", fixed: true },
    { field: "text", label: "Details", wide: true, fixed: true },
  ],
}
/** How a table is sorted at first; without an entry, as it comes. */
const SORTS = { topics: { sort: "topic", descending: false }, peers: { sort: "missed", descending: true } }
const EMPTY = {
  topics: "Nobody wants anything now: nothing is produced.",
  routes: "The server has no routes.",
  peers: "No peer is connected.",
  refused: "No peer was refused.",
  events: "Nothing has happened since this page was opened.",
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value)
  made.append(...children)
  return made
}

/** Writes a text where it differs: what is the same costs no layout. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** A line, to be drawn: an SVG, which costs half of what a canvas costs when many come and go. */
function line() {
  const made = (name) => document.createElementNS("http://www.w3.org/2000/svg", name)
  const svg = made("svg")
  svg.setAttribute("viewBox", `0 0 ${LINE.width} ${LINE.height}`)
  svg.setAttribute("preserveAspectRatio", "none")
  svg.append(made("path"))
  return svg
}

/** Draws values a second over the last minute, from 0 to their maximum. */
function draw(svg, samples) {
  const top = samples.reduce((top, sample) => (sample > top ? sample : top), 0)
  const step = LINE.width / (samples.length - 1)
  let path = ""
  samples.forEach((sample, at) => {
    if (Number.isNaN(sample)) return
    const begins = at === 0 || Number.isNaN(samples[at - 1])
    const y = top > 0 ? LINE.height - 2 - (sample / top) * (LINE.height - 4) : LINE.height - 2
    path += `${begins ? "M" : "L"}${(at * step).toFixed(1)} ${y.toFixed(1)}`
  })
  svg.firstChild.setAttribute("d", path)
}

/** A table in a region that scrolls. It has as many rows as are visible, and room for the others. */
class TableView {
  #region
  #name
  #columns
  #changed
  #opened
  #body = element("tbody")
  #top = element("td")
  #bottom = element("td")
  #empty = element("p", { class: "empty", hidden: "" })
  #rows = new Map()
  #order = {}
  #asked = { from: 0, to: 40 }
  #height = 0

  /** `changed()` when other rows are needed, `opened(name, key)` when a row is chosen. */
  constructor(region, changed, opened) {
    this.#region = region
    this.#name = region.dataset.table
    this.#columns = COLUMNS[this.#name]
    this.#changed = changed
    this.#opened = opened
    this.#order = SORTS[this.#name] ?? {}
    this.#build()
    region.addEventListener("scroll", () => this.#scrolled(), { passive: true })
    new ResizeObserver(([{ contentRect }]) => {
      this.#height = contentRect.height
      this.#scrolled()
    }).observe(region)
  }

  query(search) {
    return { section: this.#name, search, ...this.#order, ...this.#asked }
  }

  update({ matched, total, from, rows }) {
    const focused = this.#body.contains(document.activeElement) && document.activeElement.closest("tr").dataset.key
    this.#table.setAttribute("aria-rowcount", matched + 1)
    this.#top.style.height = `${from * ROW}px`
    this.#bottom.style.height = `${Math.max(0, matched - from - rows.length) * ROW}px`
    this.#place(rows, from)
    if (typeof focused === "string") this.#keepFocus(focused)
    this.#empty.hidden = matched > 0
    write(this.#empty, total > 0 ? "Nothing matches the search." : EMPTY[this.#name])
  }

  toTop() {
    this.#region.scrollTop = 0
  }

  #table = element("table", { "aria-rowcount": "1" })

  #build() {
    const title = this.#region.parentElement.querySelector(`#${this.#name}-title`)
    this.#region.setAttribute("role", "group")
    this.#region.setAttribute("aria-labelledby", title.id)
    this.#region.tabIndex = 0
    this.#table.setAttribute("aria-labelledby", title.id)
    const cols = this.#columns.map(({ width, phone = width, wide }) => {
      const col = element("col", { class: wide && "wide" })
      if (width) col.style.setProperty("--width", `${width}px`)
      if (phone) col.style.setProperty("--phone-width", `${phone}px`)
      return col
    })
    const head = element("tr", { "aria-rowindex": "1" }, ...this.#columns.map((column) => this.#heading(column)))
    const space = (cell) => element("tbody", { "aria-hidden": "true" }, element("tr", { class: "space" }, cell))
    this.#table.append(element("colgroup", {}, ...cols), element("thead", {}, head), space(this.#top), this.#body, space(this.#bottom))
    this.#region.append(this.#table, this.#empty)
    this.#showOrder()
  }

  #heading({ field, label, format: kind, wide, fixed }) {
    const classes = [kind && kind !== "time" && "number", wide && "wide"].filter(Boolean).join(" ")
    const sortable = field && !fixed
    const inside = sortable ? element("button", { type: "button" }, label) : element("span", { class: "label" }, label)
    if (sortable) inside.addEventListener("click", () => this.#sort(field, kind !== undefined))
    return element("th", { scope: "col", class: classes || undefined, "data-field": field }, inside)
  }

  /** Numbers begin with the largest. The same column again turns the order around. */
  #sort(field, number) {
    const same = this.#order.sort === field
    this.#order = { sort: field, descending: same ? !this.#order.descending : number }
    this.#showOrder()
    this.toTop()
    this.#changed()
  }

  #showOrder() {
    for (const heading of this.#table.querySelectorAll("th[data-field]")) {
      const sorted = heading.dataset.field === this.#order.sort
      if (sorted) heading.setAttribute("aria-sort", this.#order.descending ? "descending" : "ascending")
      else heading.removeAttribute("aria-sort")
    }
  }

  #scrolled() {
    const first = Math.max(0, Math.floor(this.#region.scrollTop / ROW) - OVERSCAN)
    const from = first - (first % STEP)
    const to = from + STEP + Math.ceil(this.#height / ROW) + 2 * OVERSCAN
    if (from === this.#asked.from && to === this.#asked.to) return
    this.#asked = { from, to }
    this.#changed()
  }

  /** Brings the rows into their order. A row that stays keeps its elements. */
  #place(rows, from) {
    const wanted = new Set(rows.map(({ key }) => key))
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue
      row.element.remove()
      this.#rows.delete(key)
    }
    let at = this.#body.firstChild
    rows.forEach((data, index) => {
      const row = this.#rows.get(data.key) ?? this.#add(data)
      if (row.element === at) at = at.nextSibling
      else this.#body.insertBefore(row.element, at)
      row.element.setAttribute("aria-rowindex", from + index + 2)
      this.#fill(row, data)
    })
  }

  #add(data) {
    const cells = this.#columns.map((column) => this.#cell(column, data.key))
    const row = { element: element("tr", { "data-key": data.key }, ...cells.map(({ outer }) => outer)), cells }
    this.#rows.set(data.key, row)
    return row
  }

  #cell({ kind, format: shown, wide, mark }, key) {
    const classes = [kind, mark, shown && shown !== "time" && "number", wide && "wide"].filter(Boolean).join(" ")
    const outer = element(kind === "name" ? "th" : "td", { class: classes || undefined, scope: kind === "name" ? "row" : undefined })
    if (kind === "line") {
      const svg = line()
      svg.setAttribute("aria-hidden", "true")
      outer.append(svg)
      return { outer, inner: svg }
    }
    if (kind !== "name") return { outer, inner: outer }
    const button = element("button", { type: "button" })
    button.addEventListener("click", () => this.#opened(this.#name, key))
    outer.append(button)
    return { outer, inner: button }
  }

  #fill(row, data) {
    row.element.classList.toggle("slow", data.missed > 0)
    this.#columns.forEach(({ field, kind, format: shown = "text" }, at) => {
      const { outer, inner } = row.cells[at]
      if (kind === "line") return this.#line(row, inner, data)
      write(inner, format[shown](data[field]))
      if (kind === "state") outer.dataset.state = data[field]
      if (shown === "text" && inner.textContent.length > 12) outer.title = inner.textContent
    })
  }

  #line(row, svg, { samples, ticks }) {
    if (row.ticks !== ticks) draw(svg, samples)
    row.ticks = ticks
  }

  /** A row that has moved has lost the focus; if it is gone, the region gets it. */
  #keepFocus(key) {
    const button = this.#rows.get(key)?.element.querySelector("button")
    if (button !== document.activeElement) (button ?? this.#region).focus({ preventScroll: true })
  }
}

/** The tiles of the overview: a name, a value, and a note below. */
const TILES = [
  ["Wanted", (of) => format.count(of.wanted), (of) => (of.unserved > 0 ? `${format.count(of.unserved)} without a route` : "topics")],
  ["Running", (of) => format.count(of.running), (of) => (of.failing > 0 ? `${format.count(of.failing)} failing` : "feeds")],
  ["Values/s", (of) => format.rate(of.rate), (of) => `${format.count(of.values)} in all`],
  ["Saved", (of) => format.count(of.avoided), () => "not produced"],
  ["First value", (of) => format.seconds(of.first_value_seconds), () => "mean"],
  ["Peers", (of) => format.count(of.peers), (of) => (of.peers_full > 0 ? `${format.count(of.peers_full)} slow` : "none is slow")],
  ["Missed", (of) => format.count(of.missed), (of) => `${format.count(of.delivered)} delivered`],
  ["Refused", (of) => format.count(of.peers_refused), () => "peers"],
]

class OverviewView {
  #tiles

  constructor(list) {
    this.#tiles = TILES.map(([name]) => {
      const [value, note] = [element("dd", { "data-tile": name }, "–"), element("dd", { class: "note" })]
      list.append(element("div", {}, element("dt", {}, name), value, note))
      return { value, note }
    })
  }

  update(overview) {
    TILES.forEach(([, value, note], at) => {
      write(this.#tiles[at].value, value(overview))
      write(this.#tiles[at].note, note(overview))
    })
  }
}

/** Everything that is known of one row, in a dialog. */
class DetailView {
  #dialog = document.getElementById("detail")
  #title = document.getElementById("detail-title")
  #figure = document.getElementById("detail-line")
  #line = line()
  #fields = document.getElementById("detail-fields")
  #values = new Map()

  constructor(closed) {
    this.#figure.append(this.#line)
    this.#dialog.addEventListener("close", closed)
  }

  open(title) {
    this.#fields.replaceChildren()
    this.#values.clear()
    write(this.#title, title)
    this.#figure.hidden = true
    this.#dialog.showModal()
  }

  /** `undefined`: it is gone; the last that was known stays. */
  update(detail) {
    this.#field("present", detail ? "yes" : "no longer; this is the last that was known")
    if (!detail) return
    const { samples, ticks, key, ...fields } = detail
    this.#figure.hidden = !samples
    if (samples) draw(this.#line, samples)
    for (const [name, value] of Object.entries(fields)) this.#field(name, shown(name, value))
  }

  #field(name, text) {
    let value = this.#values.get(name)
    if (!value) {
      value = element("dd", { "data-field": name })
      this.#values.set(name, value)
      this.#fields.append(element("dt", {}, name.replaceAll("_", " ").replace(/ (seconds|bytes|base64)$/, "")), value)
    }
    write(value, text)
  }
}

function shown(name, value) {
  if (Array.isArray(value)) return value.length > 0 ? value.join("\n") : "–"
  if (name === "time") return format.time(value)
  if (name === "rate") return format.rate(value)
  if (/seconds|^first$/.test(name)) return format.seconds(value)
  if (/bytes/.test(name)) return format.bytes(value)
  return typeof value === "number" && name !== "id" ? format.count(value) : format.text(value)
}
